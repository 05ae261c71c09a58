"""Laws beside each other, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cl_bench.law import CategoricalLaw, GaussianLaw, LinearLaw, LocationLaw, MixtureLaw, Moments


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_gaussians() -> None:
    truth = GaussianLaw(double([[0.0, 0.0]]), torch.eye(2).double().unsqueeze(0))
    fitted = GaussianLaw(
        double([[3.0, 4.0], [0.0, 0.0]]),
        torch.stack([double([[4.0, 0], [0, 1]]), double([[1.0, 0], [0, 0]])]),
    )
    found = fitted.compared(truth)
    assert found["mean_error"].tolist() == [25, 0]
    assert found["variance"].tolist() == [2.5, 0.5]
    assert found["variance_squared"].tolist() == [6.25, 0.25]
    assert found["second_moment"].tolist() == [8.5, 0.5]
    assert found["effective_dimension"].tolist() == pytest.approx([25 / 17, 1])
    assert found["std"].tolist() == pytest.approx([1.5, 0.5])
    assert found["w2"].tolist() == pytest.approx([26, 1])
    assert found["log_det"].tolist() == pytest.approx([math.log(4), -math.inf])


def test_moments_alone_say_nothing_of_shape() -> None:
    moments = Moments(double([[1.0]]), double([[[2.0]]]))
    truth = GaussianLaw(double([[0.0]]), double([[[1.0]]]))
    assert set(moments.compared(truth)) == {
        "mean_error",
        "variance",
        "variance_squared",
        "second_moment",
        "effective_dimension",
    }
    assert moments.compared(CategoricalLaw(double([[1.0]]))) == {}


def test_mixtures() -> None:
    weights, centres = double([[0.5, 0.5]]), double([[[-1.0], [1.0]]])
    law = MixtureLaw.of(weights, centres, double([[[[0.25]], [[0.25]]]]))
    assert law.mean.tolist() == [[0]]
    assert law.covariance.tolist() == [[[1.25]]]
    narrow = MixtureLaw.of(weights, centres, double([[[[0.01]], [[0.09]]]]))
    assert narrow.compared(law)["component_spread"].tolist() == pytest.approx([0.2])


def test_categories() -> None:
    truth = CategoricalLaw(double([[0.5, 0.25, 0.25]]))
    found = CategoricalLaw(double([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])).compared(truth)
    assert found["heterozygosity"].tolist() == pytest.approx([0.5 / 0.625, 0])
    assert found["support"].tolist() == [2, 1]
    assert found["absorbed"].tolist() == [0, 1]
    assert found["entropy"].tolist() == pytest.approx([math.log(2), 0])
    assert found["total_variation"].tolist() == pytest.approx([0.25, 0.75])


def test_lines_and_locations() -> None:
    assert LinearLaw(double([[1.0, 2.0]]), 1.0).compared(LinearLaw(double([[0.0, 0.0]]), 1.0))[
        "weight_error"
    ].tolist() == [5]
    truth = Moments(double([[0.0]]), double([[[1.0]]]))
    moved = LocationLaw(double([[0.75]]), double([[[1.0]]]), double([0.5]), 0.5)
    assert moved.compared(truth)["shift_left"].tolist() == [0.5]
    assert "shift_left" not in LocationLaw(moved.mean, moved.covariance, moved.first, 0.0).compared(truth)
