"""Recipes: those shipped are valid and fit what is installed; anything misspelt is named with its place."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cl_bench import registry
from cl_bench.config import Request, chosen_evaluators, chosen_extractors, resolve
from cl_bench.defaults import DEFAULT_BENCHMARK
from cl_bench.errors import UserError
from cl_bench.progress import Progress
from cl_bench.recipe import SCALES, Recipe, find_recipe, read_recipe, recipe_files
from cl_bench.reproduction import arguments


def valid() -> dict[str, Any]:
    """The smallest recipe with something of everything."""
    return {
        "name": "tiny",
        "paper": {"title": "A Title", "authors": "Author", "year": 2025, "arxiv": "2501.00001"},
        "figure": "figure 1",
        "protocol": "what is done",
        "scales": {
            "smoke": {
                "time": "seconds",
                "benchmark": "splitdigits",
                "generator": "gaussian",
                "generators": {"gaussian": {"covariance": "mle"}},
                "strategies": {"mixed": {"classifier_steps": 10}, "avalanche": {"batch": 16}},
                "benchmarks": {"splitdigits": {"tasks": 2, "classes": 4}},
                "constants": {"n": 3},
            }
        },
        "runs": [
            {"label": "bootstrap", "strategy": "bootstrap"},
            {"label": "mixed {lambda}", "strategy": "mixed", "each": {"lambda": [0.5, 1]}},
            {"label": "{strategy}", "each": {"strategy": ["naive", "avalanche:EWC"]}},
        ],
        "claims": [
            {
                "text": "it falls",
                "where": "abstract",
                "quantity": {"metric": "cas", "run": "bootstrap", "over": "slope", "minus": "mixed 1"},
                "expected": {"below": 0},
            },
            {
                "text": "as theory says",
                "where": "theorem 1",
                "quantity": {"metric": "std", "run": "naive", "over": 1},
                "expected": {"equals": {"closed_form": "gaussian-replace-std"}, "error": "std:se"},
            },
        ],
    }


@pytest.fixture
def load(tmp_path: Path):
    """Reads a mapping as the recipe tiny.yaml."""

    def go(values: Any) -> Recipe:
        path = tmp_path / "tiny.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, allow_unicode=True))
        return read_recipe(path)

    return go


def put(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(values)
    inner, *keys = changed, *path.split(".")
    for key in keys[:-1]:
        inner = inner[int(key) if isinstance(inner, list) else key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return changed


def test_runs_are_products_with_labels_of_their_own(load) -> None:
    recipe = load(valid())
    found = [(c.label, c.strategy, c.options) for c in recipe.configurations]
    assert found == [
        ("bootstrap", "bootstrap", {}),
        ("mixed 0.5", "mixed", {"lambda": 0.5}),
        ("mixed 1", "mixed", {"lambda": 1}),
        ("naive", "naive", {}),
        ("avalanche:EWC", "avalanche:EWC", {}),
    ]


def test_a_scale_gives_each_run_its_options_and_no_generator_to_who_makes_nothing(load) -> None:
    recipe = load(valid())
    asked = {c.label: arguments(c, recipe.scales["smoke"]) for c in recipe.configurations}
    benchmark = {"benchmark.tasks": 2, "benchmark.classes": 4}
    assert asked["mixed 0.5"]["options"] == benchmark | {
        "lambda": 0.5,
        "strategy.classifier_steps": 10,
        "generator.covariance": "mle",
    }
    assert asked["avalanche:EWC"]["generator"] is None
    assert asked["avalanche:EWC"]["options"] == benchmark | {"strategy.batch": 16}


def test_a_strategy_of_a_scale_may_have_other_options_of_its_generator(load) -> None:
    given = {"classifier_steps": 10, "generator.covariance": "map"}
    recipe = load(put(valid(), "scales.smoke.strategies.mixed", given))
    asked = {c.label: arguments(c, recipe.scales["smoke"])["options"] for c in recipe.configurations}
    assert asked["mixed 1"]["generator.covariance"] == "map"
    assert asked["mixed 1"]["strategy.classifier_steps"] == 10
    assert asked["bootstrap"]["generator.covariance"] == "mle"


def test_metrics_are_in_the_features_of_the_scale(load) -> None:
    values, used_at = valid(), {"smoke": ["classifier"], "cpu": ["pca:8", "pixels"]}
    smoke = values["scales"]["smoke"]
    values["scales"] = {name: smoke | {"extractors": used} for name, used in used_at.items()}
    distance = {"metric": "fd:{extractor}", "per": "fd:{extractor}:floor", "run": "bootstrap"}
    values["claims"][0]["quantity"] = distance
    values["figures"] = ["otdd:{extractor}", "accuracy_class_il"]
    recipe = load(values)
    for scale, (extractor, *_) in used_at.items():
        at = recipe.at(scale)
        quantity = at.claims[0].quantity
        assert (quantity.metric, quantity.per) == (f"fd:{extractor}", f"fd:{extractor}:floor")
        assert at.drawn == [f"otdd:{extractor}", "accuracy_class_il"]
        assert at.claims[1] == recipe.claims[1]


def test_some_strategies_have_a_generator_of_their_own(load) -> None:
    values = valid()
    scale = values["scales"]["smoke"] | {"generator_for": {"mixed": "vae"}}
    recipe = load(values | {"scales": {"smoke": scale | {"generators": {"vae": {"steps": 5}}}}})
    asked = {c.label: arguments(c, recipe.scales["smoke"]) for c in recipe.configurations}
    assert [asked[label]["generator"] for label in ("bootstrap", "mixed 1", "naive")] == [
        "gaussian",
        "vae",
        "gaussian",
    ]
    assert asked["mixed 1"]["options"]["generator.steps"] == 5


# Where, what is put there, and what is said of it; None takes the key away.
MISTAKES: list[tuple[str, Any, str]] = [
    (
        "scales.smoke.benchmrk",
        "x",
        "tiny.yaml: scales.smoke: unknown key 'benchmrk'; did you mean 'benchmark'",
    ),
    (
        "scales.smoke.generator_for",
        {"mixd": "vae"},
        "scales.smoke.generator_for: no run uses it: unknown name 'mixd'; did you mean 'mixed'?",
    ),
    ("claim", [], "tiny.yaml: unknown key 'claim'; did you mean 'claims'"),
    ("claims.0.quantity.metrik", "x", "claims[0].quantity: unknown key 'metrik'; did you mean 'metric'"),
    ("claims.0.expected.bellow", 1, "claims[0].expected: unknown key 'bellow'; did you mean 'below'"),
    ("runs.1.eech", {}, "runs[1]: unknown key 'eech'; did you mean 'each'"),
    ("paper.year", "2025", "tiny.yaml: paper.year: expected a whole number, got '2025'"),
    (
        "figures",
        ["fd:{extractor}"],
        "scales.smoke: key 'extractors' is missing, for metrics with {extractor}",
    ),
    ("paper.title", None, "tiny.yaml: paper: key 'title' is missing"),
    ("scales.smoke.seeds", True, "scales.smoke.seeds: expected a whole number, got True"),
    ("scales.smoke.seeds", 0, "scales.smoke: seeds: 0; at least 1"),
    ("scales.smoke.limit", 1.5, "scales.smoke.limit: expected a whole number, got 1.5"),
    ("scales.smoke.evaluators", "cas", "scales.smoke.evaluators: expected a list, got 'cas'"),
    ("scales.smoke.evaluators", [1], "scales.smoke.evaluators[0]: expected text, got 1"),
    ("scales.smoke.generators.gaussian", 3, "smoke.generators.gaussian: expected keys that are text"),
    ("scales.smoke.constants.n", "many", "smoke.constants.n: expected a number, got 'many'"),
    ("scales.smok", {"time": "x"}, "tiny.yaml: scales: unknown scale 'smok'; did you mean 'smoke'"),
    ("scales", {}, "must each hold something"),
    (
        "scales.smoke.strategies.mixd",
        {},
        "scales.smoke.strategies: no run uses it: unknown name 'mixd'; did you mean 'mixed'",
    ),
    ("scales.smoke.generators.ddpm", {}, "scales.smoke.generators: no run uses it"),
    ("claims.0.quantity.run", "bootstap", "claims[0]: unknown run 'bootstap'; did you mean 'bootstrap'"),
    ("claims.0.quantity.over", "slop", "claims[0].quantity.over: expected 'last' or 'mean'"),
    ("claims.0.quantity.over", 0, "claims[0].quantity: over: 0; tasks are counted from 1"),
    (
        "claims.0.expected",
        {"between": [0, "one"]},
        "between[1]: expected a number or keys and values, got 'one'",
    ),
    ("claims.0.expected", {"below": 0, "above": 1}, "claims[0].expected: give exactly one of"),
    (
        "claims.0.expected",
        {"below": {"closed_fom": "chance"}},
        "unknown key 'closed_fom'; did you mean 'closed_form'",
    ),
    ("claims.0.rule", "anova", "claims[0].rule: expected 't-test' or 'every', got 'anova'"),
    ("scales.smoke.constants", {}, "claims[1]: closed form 'gaussian-replace-std' needs the argument 'n'"),
    ("runs.0.label", "naive", "runs: the label 'naive' is there twice"),
    ("runs.1.label", "mixed {lamda}", "label 'mixed {lamda}' may only name lambda in braces"),
    ("runs.1.options", {"lambda": 2}, "runs[1]: lambda is given twice"),
    ("runs.1.each", {"lambda": []}, "runs[1]: each.lambda holds no value"),
    ("runs.2.each.strategy", [1], "each.strategy must hold names"),
    ("runs.0.strategy", None, "runs[0]: give strategy, once"),
    ("name", "other", "name: 'other' must be the name of the file, 'tiny'"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_what_is_wrong_is_named_with_file_and_key(load, path: str, value: Any, message: str) -> None:
    load(valid())
    with pytest.raises(UserError) as error:
        load(put(valid(), path, value))
    assert str(error.value).startswith("tiny.yaml: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is not YAML"), ("- a", "expected keys and values"), ("", "expected keys")]
)
def test_a_file_that_is_no_recipe(load, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(text)


def test_unknown_names_have_a_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown recipe .* did you mean 'zverev2025-cifar100'"):
        find_recipe("zverev2025-cifar10")
    with pytest.raises(UserError, match=r"nowhere\.yaml: No such file"):
        find_recipe("nowhere.yaml")
    with pytest.raises(UserError, match="unknown scale 'gpus'; did you mean 'gpu'"):
        find_recipe("zverev2025-cifar100").scale("gpus")


def test_the_recipes_that_the_project_promises_are_there() -> None:
    promised = {
        *(f"replay-{name}" for name in ("cifar100", "flowers102")),
        *(f"bertrand2024-{name}" for name in ("gaussian", "stability", "toy")),
        *(
            f"shumailov2023-{name}"
            for name in ("discrete", "gaussian", "gaussian-nd", "gmm", "growth", "opt", "vae")
        ),
        *(f"zverev2025-{name}" for name in ("cifar100", "flowers102", "gaussians", "ratio")),
    }
    assert promised <= set(recipe_files())


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_every_shipped_recipe_fits_what_is_installed(name: str, monkeypatch) -> None:
    """All names and options resolve, at every scale; the metrics of its claims are of its evaluators."""
    monkeypatch.setattr("cl_bench.config._device", lambda name: "cpu")
    recipe = find_recipe(name)
    assert {"smoke", "cpu", "paper"} <= set(recipe.scales) <= set(SCALES)
    assert re.fullmatch(r"\d{4}\.\d{5}", recipe.paper.arxiv or "")
    for scale_name, scale in recipe.scales.items():
        judges = chosen_evaluators(scale.evaluators)
        own = registry.benchmarks.get(
            recipe.configurations[0].benchmark or scale.benchmark or DEFAULT_BENCHMARK
        ).extractors
        extractors = chosen_extractors(scale.extractors, judges, own)
        measured = {metric for judge in judges for metric in judge.definitions(extractors)}
        for configuration in recipe.configurations:
            asked = arguments(configuration, scale)
            resolve(
                Request(**{key: value for key, value in asked.items() if value is not None}), Progress(True)
            )
        wanted = {metric for claim in recipe.at(scale_name).claims for metric in claim.metrics}
        assert scale_name != "smoke" or wanted <= measured
        known = {m for judge in chosen_evaluators(["all"]) for m in judge.definitions(extractors)}
        assert wanted <= known


@pytest.mark.parametrize(
    ("few", "many", "scale"),
    [
        ("zverev2025-cifar100", "replay-cifar100", "smoke"),
        ("zverev2025-cifar100", "replay-cifar100", "cpu"),
        ("replay-flowers102", "replay-cifar100", "smoke"),
    ],
)
def test_recipes_that_name_the_same_runs_share_them(few: str, many: str, scale: str) -> None:

    def runs(name: str) -> dict[str, str]:
        recipe, ids = find_recipe(name), {}
        for configuration in recipe.configurations:
            asked = arguments(configuration, recipe.scale(scale))
            request = Request(**{key: value for key, value in asked.items() if value is not None})
            ids[resolve(request, Progress(True)).run_id()] = configuration.label
        return ids

    assert [label for run, label in runs(few).items() if run not in runs(many)] == []
