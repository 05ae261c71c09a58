"""Identity: what makes another run, and what does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cl_bench.config import Config, Request, resolve

PLUGIN = (
    "from cl_bench import register_strategy\nfrom cl_bench.strategies.naive import Naive\n"
    "@register_strategy('plugged-{n}')\nclass Plugged{n}(Naive):\n    'Plugged.'\n"
)


def run_id(**kwargs: object) -> str:
    return resolve(Request(**kwargs)).run_id()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"order_seed": 0},
        {"limit": 20},
        {"strategy": "naive"},
        {"generator": "gaussian"},
        {"options": {"lambda": 0.4}},
        {"options": {"generator.steps": 3}},
        {"options": {"tasks": 2}},
        {"evaluators": ("accuracy",)},
    ],
)
def test_everything_that_moves_numbers_is_another_run(change: dict[str, object]) -> None:
    assert run_id(**({"strategy": "mixed"} | change)) != run_id(strategy="mixed")


def test_spelling_is_not_another_run() -> None:
    assert run_id(strategy="mixed", options={"lambda": "0.5"}) == run_id(strategy="mixed")
    assert run_id(strategy="mixed", options={"strategy.lambda_": 0.5}) == run_id(strategy="mixed")


def test_the_same_in_every_process(tmp_path: Path) -> None:
    # Hash randomisation must not reach a run's id; nor may the folder the command is typed in.
    code = "from cl_bench.config import *; print(resolve(Request('mixed')).run_id())"
    ids = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert ids == {run_id(strategy="mixed")}


def test_a_plugin_counts_by_content_not_by_place(tmp_path: Path) -> None:
    ids = []
    for n, folder in ((1, "a"), (2, "b")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "strategy.py"
        path.write_text(PLUGIN.format(n=n))
        resolved = resolve(Request(f"plugged-{n}", plugins=(str(path),)))
        ids.append(resolved.run_id())
        moved = resolve(Request(f"plugged-{n}", plugins=(os.path.relpath(path),)))
        assert moved.run_id() == resolved.run_id()
        assert resolved.config.plugins == (str(path),)
    assert ids[0] != ids[1]


def test_configuration_survives_json() -> None:
    config = resolve(Request("mixed", options={"tasks": "[4,3,3]", "lambda": 0.2})).config
    again = Config.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again == config
    assert resolve(again.request()).config == config


def test_a_changed_engine_is_another_run(monkeypatch) -> None:
    before = run_id(strategy="mixed")
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p.name == "gaussian.py"))
    assert run_id(strategy="mixed") != before


def test_a_strategy_typed_into_python_has_an_identity() -> None:
    code = (
        "import cl_bench\nfrom cl_bench.strategies.naive import Naive\n"
        "from cl_bench.config import Request, resolve\n"
        "class Mine(Naive):\n    'Mine.'\n"
        "    def predict(self, x):\n        return super().predict(x) * {factor}\n"
        "cl_bench.register_strategy('mine', Mine)\nprint(resolve(Request('mine')).run_id())"
    )
    ids = []
    for body in ("2", "2", "x.mean()"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(factor=body)], capture_output=True, text=True, check=True
        )
        ids.append(done.stdout)
    assert ids[0] == ids[1] != ids[2]
