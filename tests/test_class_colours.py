"""Colours of classes, for every reader."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cl_bench.class_colours import class_colours


def test_colours_stay_apart_and_are_the_same_for_everyone() -> None:
    assert len(set(class_colours(10))) == 10
    assert class_colours(3) == class_colours(10)[:3]
    many = class_colours(100)
    assert len(set(many)) == 100
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in many)


# Machado, Oliveira and Fernandes 2009, full loss of one kind of cone, on linear RGB.
BLIND = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("kind", list(BLIND))
def test_ten_colours_stay_apart_for_colour_blind_readers(kind: str) -> None:
    """By 15 units of CIE 1976 L*a*b* at least; matplotlib's own ten come as near as 5 for protanopes."""
    colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in class_colours(10)])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(BLIND[kind]).T, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = seen @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distances[np.triu_indices(10, 1)].min() > 15
