"""The command line: quick, one-line errors, the right exit codes, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cl_bench.cli.main import VERBS, main

HEAVY = ("torch", "avalanche", "pandas", "matplotlib", "rich", "numpy", "sklearn")
QUICK = [
    "--generator", "gaussian", "--limit", "16", "--evaluators", "accuracy,otdd", "--quiet",
    "-o", "classifier_steps=40",
]  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"], ["list", "generators"]])
def test_starts_without_heavy_imports(arguments: list[str]) -> None:
    code = (
        "import sys; from cl_bench.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_help_names_every_verb(capsys) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb}" in text for verb in VERBS)


def refused(capsys, arguments: list[str], code: int = 2) -> str:
    assert main(arguments) == code
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    errors = [line for line in lines if line.startswith("cl-bench: error: ")]
    assert len(errors) == 1
    assert lines[-1] == errors[0]
    assert "Traceback" not in captured.err
    return errors[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "unknown verb 'rnu'; did you mean 'run'?"),
        (["run", "--strategi", "x"], "unknown argument '--strategi'; did you mean '--strategy'?"),
        (["run", "--strategy", "boostrap"], "did you mean 'bootstrap'?"),
        (["run", "--benchmark", "splitdigit"], "did you mean 'splitdigits'?"),
        (["run", "--generator", "gausian"], "did you mean 'gaussian'?"),
        (["run", "--evaluators", "otd"], "did you mean 'otdd'?"),
        (["run", "-o", "stpes=3"], "did you mean 'steps'?"),
        (["run", "-o", "steps"], "expected key=value"),
        (["run", "-o", "steps=lots"], "steps=lots: input should be a valid integer"),
        (["run", "-o", "seed=3"], "has no option 'seed'"),
        (["run", "-o", "output=x"], "has no option 'output'"),
        (["run", "--strategy", "mixed", "-o", "lambda=inf"], "finite number"),
        (["run", "--strategy", "mixed", "-o", "lambda=1", "-o", "synthetic_fraction=0.2"], "give one"),
        (["run", "--evaluators", ","], "no evaluator named"),
        (["run", "--seed", "99999999999999999999"], "below 2**63"),
        (["run", "--strategy", "tests.nowhere:Thing"], "cannot be imported"),
        (["run", "--seed", "one"], "expected a whole number, got 'one'"),
        (["run", "--seed", "-1"], "seeds must be 0 or more, and below 2**63"),
        (["run", "--strategy", "mixed", "-o", "lambda=-0.1"], "greater than or equal to 0"),
        (["run", "-o", "tasks=7"], "10 classes do not divide into 7 tasks"),
        (["run", "-o", "tasks=[5,6]"], "has 11 classes"),
        (["run", "--strategy", "bootstrap", "--generator", "none"], "choose a --generator"),
        (["run", "--strategy", "ddgr", "--generator", "gaussian"], "cannot be guided"),
        (["run", "--plugin", "nowhere.py"], "no such file"),
        (["run", "--config", "nowhere.yaml"], "No such file"),
        (["run", "extra"], "unexpected argument 'extra'"),
        (["list", "stratgies"], "did you mean 'strategies'?"),
        (["list", "runs"], "no runs below"),
        (["show", "ddrg"], "did you mean 'ddgr'?"),
        (["show", "avalanche:ewk"], "did you mean 'EWC'?"),
        (["check", "avalanche:ewk"], "did you mean 'EWC'?"),
        (["run", "--strategy", "avalanche"], "needs an argument; say avalanche:NAME"),
        (["run", "--strategy", "avalanche:EWC", "--generator", "gaussian"], "has no effect on it"),
        (["check", "ddrg"], "did you mean 'ddgr'?"),
        (["check", "otdd"], "is an evaluator"),
        (["report", "0123"], "no run '0123'"),
        (["report"], "no runs below"),
        (["resume", "0123"], "no run '0123'"),
        (["resume"], "the following arguments are required: RUN"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    capsys, tmp_path: Path, monkeypatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif("sys.platform != 'linux'")
def test_cuda_without_one_is_refused(capsys, tmp_path: Path, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert "finds no CUDA device" in refused(capsys, ["run", "--device", "cuda"])
    assert list(tmp_path.iterdir()) == []


def test_unwritable_output(capsys, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(capsys, ["run", "--strategy", "naive", "--output", str(tmp_path / "file"), *QUICK])
    assert "cannot write to" in message
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stratgy: ddgr", "unknown key 'stratgy'; did you mean 'strategy'?"),
        ("seed: one", "seed must be int, got 'one'"),
        ("- a\n- b", "expected keys and values"),
        ("a: [", "is not YAML"),
        ("options: 3", "options must be dict"),
        ("options: {1: 2}", "options must hold names"),
        ("evaluators: []", "no evaluator named"),
    ],
)
def test_bad_configuration_file(capsys, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    assert message in refused(capsys, ["run", "--config", str(tmp_path / "c.yaml")])


def test_command_line_beats_configuration_file(capsys, tmp_path: Path) -> None:
    import yaml

    config = tmp_path / "c.yaml"
    config.write_text(
        "strategy: mixed\nseed: 4\ngenerator: gaussian\noptions: {strategy.lambda_: 0.1, tasks: 2}\n"
    )
    arguments = ["run", "--dry-run", "--quiet", "--config", str(config), "--seed", "5", "-o", "lambda=0.7"]
    assert main(arguments) == 0
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["strategy"] == "mixed"
    assert resolved["seed"] == 5
    assert resolved["generator"] == "gaussian"
    assert resolved["strategy_options"]["lambda"] == 0.7
    assert abs(resolved["strategy_options"]["synthetic_fraction"] - 0.7 / 1.7) < 1e-12
    assert resolved["benchmark_options"]["tasks"] == 2


def test_run_list_report_resume(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--strategy", "bootstrap", *QUICK]) == 0
    assert capsys.readouterr().out == ""
    assert main(["list", "runs"]) == 0
    line = capsys.readouterr().out
    assert "finished" in line
    assert "bootstrap" in line
    run_id = line.split()[0]
    assert main(["report", run_id[:6], "--plain"]) == 0
    assert "OTDD" in capsys.readouterr().out
    folder = tmp_path / "runs" / "splitdigits" / "bootstrap" / run_id
    assert (folder / "report" / "index.html").is_file()
    rows = (folder / "metrics.jsonl").read_text()
    (folder / "task_04" / "finished.json").unlink()
    assert main(["resume", run_id, "--quiet"]) == 0

    def values(text: str) -> list[object]:
        return [json.loads(line)["value"] for line in text.splitlines()]

    assert values((folder / "metrics.jsonl").read_text()) == values(rows)


def test_list_runs_shows_what_tells_them_apart_and_names_damage(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for tasks in ("2", "[6,4]"):
        assert main(["run", "--strategy", "naive", *QUICK, "-o", f"tasks={tasks}"]) == 0
    assert main(["list", "runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split("  ")[-1] for line in lines) == ["benchmark.tasks=2", "benchmark.tasks=[6, 4]"]
    run_id = lines[0].split()[0]
    (tmp_path / "runs" / "splitdigits" / "naive" / run_id / "manifest.json").write_text("{")
    assert main(["list", "runs"]) == 0
    assert f"{run_id}  damaged" in capsys.readouterr().out
    assert main(["report"]) == 0
    assert "left out" in capsys.readouterr().err
    assert "manifest.json is damaged" in refused(capsys, ["report", run_id])


def test_divergence_is_exit_code_3(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        "run", "--limit", "16", "--evaluators", "accuracy", "--quiet",
        "-o", "learning_rate=1e20", "-o", "generator.steps=50",
    ]  # fmt: skip
    message = refused(capsys, arguments, code=3)
    assert "generator mlp-diffusion: the loss is" in message
    assert "at step" in message
    assert "last checkpoint: none yet" in message


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    from cl_bench.config import Request, resolve
    from cl_bench.run_directory import locked

    resolved = resolve(
        Request(
            "naive",
            generator="gaussian",
            limit=16,
            evaluators=("accuracy", "otdd"),
            options={"classifier_steps": 40},
        )
    )
    path = tmp_path / "runs" / "splitdigits" / "naive" / resolved.run_id()
    with locked(path):
        done = subprocess.run(
            [sys.executable, "-m", "cl_bench", "run", "--strategy", "naive", *QUICK],
            cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"},
        )  # fmt: skip
    assert done.returncode == 2
    assert "another process is working in" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_plugin_file_runs_by_name(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(__file__).parents[2] / "examples/cl-bench-reservoir/src/cl_bench_reservoir/reservoir.py"
    decorated = (
        "from cl_bench import register_strategy\n\n\n@register_strategy('from-file')\nclass Reservoir("
    )
    code = source.read_text().replace("class Reservoir(", decorated)
    Path("mine.py").write_text(code)
    arguments = ["--limit", "16", "--quiet", "--generator", "none", "-o", "strategy.steps=40"]
    assert main(["run", "--plugin", "mine.py", "--strategy", "from-file", *arguments]) == 0
    assert main(["check", "from-file", "--plugin", "mine.py", "--generator", "none"]) == 0
    assert main(["list", "strategies", "--plugin", "mine.py"]) == 0
    assert "Replay a uniform sample" in capsys.readouterr().out


def test_show_has_paper_options_and_help(capsys) -> None:
    assert main(["show", "mixed"]) == 0
    text = capsys.readouterr().out
    assert "arXiv 2310.00429" in text
    assert "classifier_steps=400" in text
    assert "lambda=none" in text
    assert "synthetic samples per real sample" in text


def test_show_tells_the_stream_of_a_benchmark(capsys) -> None:
    assert main(["show", "splitdigits", "--order-seed", "4", "-o", "tasks=[4,3,3]"]) == 0
    out = capsys.readouterr().out
    assert "order seed  4" in out
    assert "task 3      3 classes" in out
    assert "fingerprint e789c16c9c40" in out
    assert "image, 1×8×8, 10 classes" in out
    assert main(["show", "digits", "-o", "generations=3"]) == 0
    assert "task 1…3    10 classes" in capsys.readouterr().out


def test_show_without_the_data_tells_what_is_missing(capsys, tmp_path: Path) -> None:
    assert main(["show", "splitcifar10", "--data-root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "CIFAR-10 (32×32), 5 tasks × 2 classes." in out
    assert f"stream: CIFAR-10 is missing: no cifar-10-batches-py/data_batch_1 in {tmp_path}" in out


def test_names_with_arguments(capsys, tmp_path: Path) -> None:
    assert main(["show", "folder"]) == 0
    assert "stream: say folder:PATH to see it" in capsys.readouterr().out
    for words, error in (
        (["run", "--benchmark", "folder"], "benchmark 'folder' needs an argument; say folder:PATH"),
        (["run", "--benchmark", "folder:"], "benchmark 'folder' needs an argument; say folder:PATH"),
        (["run", "--benchmark", "splitdigits:x"], "benchmark 'splitdigits' takes no argument"),
        (["run", "--benchmark", f"folder:{tmp_path}/none", "--strategy", "naive"], "none is not a folder"),
        (["data", "fetch", "cifar"], "unknown data set 'cifar'; did you mean 'cifar10'"),
        (["data", "fetch"], "say `cl-bench data fetch NAME`"),
        (["data", "drop"], "unknown action 'drop'"),
        (["data", "fetch", "ffhq64", "--data-root", str(tmp_path)], "FFHQ cannot be downloaded by a program"),
    ):
        assert main([*words, "--output", str(tmp_path / "runs")] if words[0] == "run" else words) == 2
        assert error in capsys.readouterr().err


def test_the_card_names_samples_in_both_splits(capsys, tmp_path: Path) -> None:
    import numpy as np

    x = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)
    y = np.arange(40) % 2
    np.savez(
        tmp_path / "a.npz",
        x_train=x,
        y_train=y,
        x_test=x[36:].copy() + (y[36:, None, None] == 0),
        y_test=y[36:],
    )
    assert main(["show", f"arrays:{tmp_path}/a.npz"]) == 0
    assert "2 test samples in train, too, left in (test = train): 1 = 37, 3 = 39" in capsys.readouterr().out


def test_names_with_an_argument_are_shown_and_checked(capsys) -> None:
    assert main(["show", "avalanche:ewc"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("avalanche:EWC  (strategy")
    assert "Kirkpatrick et al. 2017" in text
    assert "ewc_lambda=1.0" in text
    assert "weight of the penalty" in text
    assert main(["check", "avalanche:Naive", "-o", "classifier_steps=5"]) == 0
    assert "FAIL" not in capsys.readouterr().out
