"""`cl-bench reproduce`: from command to verdicts, on few real digits with the closed-form generator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from cl_bench import Tracker, register_tracker
from cl_bench.cli.main import main
from cl_bench.finished_run import Run
from cl_bench.recipe import recipe_files
from cl_bench.tracker import Entry

HEAVY = ("torch", "avalanche", "pandas", "matplotlib", "rich", "numpy", "sklearn", "scipy", "pydantic")

RECIPE = {
    "name": "tiny",
    "paper": {"title": "A <Title>", "authors": "Author", "year": 2025},
    "figure": "figure 1",
    "protocol": "digits, twice",
    "scales": {
        "smoke": {
            "time": "seconds",
            "says": "nothing about the paper",
            "seeds": 1,
            "benchmark": "digits",
            "generator": "gaussian",
            "device": "cpu",
            "limit": 20,
            "evaluators": ["accuracy", "depth"],
            "benchmarks": {"digits": {"classes": 3, "generations": 2}},
            "strategies": {
                "bootstrap": {"classifier_steps": 5},
                "mixed": {"classifier_steps": 5},
            },
        }
    },
    "runs": [
        {"label": "replace", "strategy": "bootstrap"},
        {"label": "mixed λ={lambda}", "strategy": "mixed", "each": {"lambda": [0.5]}},
    ],
    "claims": [
        {
            "text": "copies of copies are t deep",
            "where": "by definition",
            "quantity": {"metric": "generation_depth", "run": "replace"},
            "expected": {"equals": {"closed_form": "replaced-depth"}},
            "rule": "every",
        },
        {
            "text": "they become deeper than where real data stay",
            "where": "by definition",
            "quantity": {"metric": "generation_depth", "run": "replace", "minus": "mixed λ=0.5"},
            "expected": {"above": 0.5},
        },
        {
            "text": "no copy is made",
            "where": "nowhere",
            "quantity": {"metric": "generation_depth", "run": "mixed λ=0.5", "over": "max"},
            "expected": {"below": 0.5},
        },
    ],
}


def put(folder: Path, **changes: object) -> str:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes, allow_unicode=True), encoding="utf-8")
    return str(path)


def verdicts(folder: Path) -> list[str]:
    return [claim["verdict"] for claim in json.loads((folder / "claims.json").read_text())["claims"]]


def test_from_a_recipe_to_verdicts_and_again(tmp_path: Path, capsys) -> None:
    output = tmp_path / "runs"
    command = ["reproduce", put(tmp_path), "--seeds", "3", "--output", str(output)]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "run 6/6: mixed λ=0.5, seed 2" in told.err
    folder = output / "reproduce" / "tiny-smoke"
    assert verdicts(folder) == ["supported", "supported", "not supported"]
    for text in ("= replaced-depth = 2", "2 ± 0 (3 seeds)", "not supported", "nothing about the paper"):
        assert text in told.out
    assert told.out.strip().endswith(str(folder / "index.html"))

    page = (folder / "index.html").read_text(encoding="utf-8")
    claims = (folder / "claims.md").read_text(encoding="utf-8")
    assert "A &lt;Title&gt;" in page
    assert (folder / "generation_depth.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64" in page
    listed = json.loads((folder / "claims.json").read_text())["runs"]
    assert len(listed) == 6
    for run in listed:
        link = f"../../digits/{Path(run['path']).parent.name}/{run['run']}/report/index.html"
        assert f'href="{link}"' in page
        assert f"(<{link}>)" in claims
        assert (folder / link).is_file()

    rows = {path: path.stat().st_mtime_ns for path in output.rglob("metrics.jsonl")}
    pages = {path: path.stat().st_mtime_ns for path in output.glob("digits/*/*/report/index.html")}
    assert len(rows) == len(pages) == 6
    (folder / "claims.json").unlink()
    assert main([*command, "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in output.rglob("metrics.jsonl")} == rows
    assert {path: path.stat().st_mtime_ns for path in pages} == pages
    assert verdicts(folder) == ["supported", "supported", "not supported"]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


@pytest.mark.slow
def test_runs_side_by_side_are_the_same_runs(tmp_path: Path, capsys) -> None:
    recipe, scale = put(tmp_path), "reproduce/tiny-smoke/claims.json"
    results = []
    for jobs in (1, 2):
        output = tmp_path / f"{jobs}"
        assert main(["reproduce", recipe, "--seeds", "2", "--jobs", str(jobs), "--output", str(output)]) == 0
        told = capsys.readouterr().err
        assert ("4/4 runs ended" in told) == (jobs == 2)
        claims = json.loads((output / scale).read_text())
        rows = {path.parent.name: path.read_text() for path in output.rglob("metrics.jsonl")}
        results.append((claims["claims"], [run["label"] for run in claims["runs"]], rows.keys()))
    assert results[0] == results[1]


def test_a_failed_run_is_named_and_stops_nothing(tmp_path: Path, capsys) -> None:
    runs = [{"label": "replace", "strategy": "bootstrp"}, *RECIPE["runs"][1:]]  # type: ignore[index]
    recipe = put(tmp_path, runs=runs, scales={"smoke": RECIPE["scales"]["smoke"] | {"strategies": {}}})  # type: ignore[index]
    assert main(["reproduce", recipe, "--output", str(tmp_path / "runs")]) == 1
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if line.startswith("cl-bench: error: ")]
    assert lines == [
        "cl-bench: error: run replace, seed 0 failed: unknown strategy 'bootstrp'; did you mean 'bootstrap'?"
    ]
    assert verdicts(tmp_path / "runs/reproduce/tiny-smoke") == ["no data", "no data", "undecided"]
    assert "Failed: replace, seed 0: unknown strategy" in told.out


@pytest.mark.parametrize(
    ("scale", "reason"),
    [
        ({"benchmark": "cifar100", "benchmarks": {}}, "CIFAR-100 is missing"),
        ({"device": "cuda"}, "--device cuda: torch finds no CUDA device"),
    ],
)
def test_what_keeps_every_run_from_beginning_is_said_once(tmp_path: Path, capsys, scale, reason: str) -> None:
    if scale.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("here it could begin")
    recipe = put(tmp_path, scales={"smoke": RECIPE["scales"]["smoke"] | scale})  # type: ignore[index]
    assert main(["reproduce", recipe, "--jobs", "2", "--output", str(tmp_path / "runs")]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(told) == 1
    assert told[0].startswith(f"cl-bench: error: {reason}")
    assert not (tmp_path / "runs").exists()


def test_with_all_a_recipe_that_cannot_begin_stops_no_other(tmp_path: Path, capsys, monkeypatch) -> None:
    missing = RECIPE["scales"]["smoke"] | {"benchmark": "cifar100", "benchmarks": {}}  # type: ignore[index]
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    paths = [put(folders[0], scales={"smoke": missing}), put(folders[1])]
    monkeypatch.setattr("cl_bench.recipe.recipe_files", lambda: dict.fromkeys(paths))
    assert main(["reproduce", "--all", "--output", str(tmp_path / "runs")]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(told) == 1
    assert told[0].startswith("cl-bench: error: tiny: CIFAR-100 is missing")
    assert "supported" in verdicts(tmp_path / "runs/reproduce/tiny-smoke")


def test_a_bug_in_one_run_leaves_its_traceback(tmp_path: Path, monkeypatch) -> None:
    from cl_bench.strategies.mixed import Mixed

    def broken(self: Mixed, task: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(Mixed, "observe", broken)
    folder = tmp_path / "runs/reproduce/tiny-smoke"
    assert main(["reproduce", put(tmp_path), "--quiet", "--output", str(tmp_path / "runs")]) == 1
    trace = (folder / "failures.txt").read_text(encoding="utf-8")
    assert "mixed λ=0.5, seed 0" in trace
    assert "in broken" in trace
    assert verdicts(folder) == ["supported", "no data", "no data"]
    monkeypatch.undo()
    assert main(["reproduce", put(tmp_path), "--quiet", "--output", str(tmp_path / "runs")]) == 0
    assert not (folder / "failures.txt").exists()


def test_every_run_is_tracked(tmp_path: Path) -> None:
    told: list[int] = []

    @register_tracker("listener")
    class Listener(Tracker):
        def begin(self, run: Run) -> None:
            pass

        def log(self, entry: Entry) -> None:
            told.append(entry.learned)

        def end(self, finished: bool) -> None:
            pass

    command = ["reproduce", put(tmp_path), "--quiet", "--output", str(tmp_path / "runs")]
    assert main([*command, "--track", "listener"]) == 0
    assert told == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say `cl-bench reproduce NAME`, or --all, or --list"),
        (["zverev2025-cifar100", "--all"], "say `cl-bench reproduce NAME`, or --all, or --list"),
        (["zverev2025-cifar10"], "did you mean 'zverev2025-cifar100'?"),
        (["zverev2025-cifar100", "--scale", "gpus"], "unknown scale 'gpus'; did you mean 'gpu'?"),
        (["zverev2025-cifar100", "--seeds", "0"], "--seeds 0: at least one"),
        (["zverev2025-cifar100", "--jobs", "0"], "--jobs 0: at least one"),
        (["zverev2025-cifar100", "--seed", "1"], "did you mean '--seeds'?"),
        (["nowhere.yaml"], "No such file"),
        (["zverev2025-cifar100", "--track", "wand"], "unknown tracker 'wand'; did you mean 'wandb'?"),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path: Path, arguments: list[str], message: str) -> None:
    output = tmp_path / "runs"
    assert main(["reproduce", *arguments, "--output", str(output), "--quiet"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not output.exists()


def test_list_names_all_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cl_bench.cli.main import main; main(['reproduce', '--list'])\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *told, heavy = done.stdout.splitlines()
    assert heavy == "HEAVY []"
    assert set(recipe_files()) <= set(told)
    assert any("arXiv 2512.11867" in line for line in told)
    assert all(
        any(line.startswith(f"  {scale} ") for line in told) for scale in ("smoke", "cpu", "gpu", "paper")
    )


def test_all_runs_every_recipe(tmp_path: Path, monkeypatch, capsys) -> None:
    path = Path(put(tmp_path))
    monkeypatch.setattr("cl_bench.recipe.recipe_files", lambda: {"tiny": path})
    assert main(["reproduce", "--all", "--quiet", "--output", str(tmp_path / "runs")]) == 0
    assert verdicts(tmp_path / "runs/reproduce/tiny-smoke") == ["supported", "undecided", "undecided"]


# At their smallest scale they name the same runs, which are then run once.
SHARING = ("replay-cifar100", "replay-flowers102", "zverev2025-cifar100")


@pytest.mark.slow
@pytest.mark.parametrize("names", [SHARING, *((name,) for name in sorted({*recipe_files()} - {*SHARING}))])
def test_every_shipped_recipe_runs_at_its_smallest_scale(names: tuple[str, ...], tmp_path: Path) -> None:
    """To the end, with a number for every claim; where theory gives the number, it is that."""
    for name in names:
        assert main(["reproduce", name, "--quiet", "--output", str(tmp_path)]) == 0
        claims = json.loads((tmp_path / f"reproduce/{name}-smoke/claims.json").read_text())["claims"]
        for claim in claims:
            assert claim["verdict"] != "no data", claim
            assert claim["rule"] != "z" or claim["verdict"] == "supported", claim
