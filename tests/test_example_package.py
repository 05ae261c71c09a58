"""The example package, installed with cl-bench into a clean environment, runs by name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = os.environ.get("UV") or shutil.which("uv")


@pytest.mark.slow
@pytest.mark.skipif(UV is None, reason="needs uv to make a clean environment")
def test_third_party_strategy_in_a_clean_environment(tmp_path: Path) -> None:
    def sh(*command: str) -> str:
        clean = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT")}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=clean)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    # Copies: building in place would leave build folders in the checkout.
    ignore = shutil.ignore_patterns(".venv", ".git", "build", "runs", "*.egg-info")
    shutil.copytree(ROOT, tmp_path / "cl-bench", ignore=ignore)
    example = tmp_path / "cl-bench" / "examples" / "cl-bench-reservoir"
    sh(str(UV), "venv", "--quiet", "env")
    python = tmp_path / "env" / "bin" / "python"
    sh(
        str(UV),
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        str(tmp_path / "cl-bench"),
        str(example),
    )
    program = str(python.with_name("cl-bench"))

    assert "reservoir" in sh(program, "list", "strategies")
    assert "FAIL" not in sh(program, "check", "reservoir", "--generator", "none")
    arguments = ("--limit", "40", "--generator", "none", "-o", "strategy.steps=100", "-o", "memory=60")
    assert "ACC" in sh(program, "run", "--strategy", "reservoir", *arguments)
    assert "reservoir" in sh(program, "list", "runs")
    installed = sh(
        str(python), "-c", "import cl_bench, cl_bench.strategies as s; print(cl_bench.__file__, s.__file__)"
    )
    assert str(tmp_path / "env") in installed
    assert str(ROOT) not in installed
