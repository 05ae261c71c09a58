"""task_00/replay.json: where a replay set comes from, beside the set itself.

    run, after_task, seed       the run's id (the hash of its configuration and code) and seed
    strategy, generator         names and options: solver, steps, guidance
    generator_sha256            of the weights that drew it last, as saved in the checkpoint under
                                "generator."; null for a strategy that saves none there
    replay_sha256               of the set: x, y, depth
    classes                     per class its samples, and how many of them have which generation depth

Hashes are those of `state.checksum`.
"""

from __future__ import annotations

from typing import Any

from cl_bench import state
from cl_bench.config import Config
from cl_bench.samples import Samples
from cl_bench.state import State, under


def replay_manifest(
    run_id: str, config: Config, after_task: int, replay: Samples, checkpoint: State
) -> dict[str, Any]:
    """The content of the file; checkpoint: the strategy's state dict after the task."""
    generator = under("generator", checkpoint)
    return {
        "run": run_id,
        "after_task": after_task,
        "seed": config.seed,
        "strategy": {"name": config.strategy, "options": config.strategy_options},
        "generator": {"name": config.generator, "options": config.generator_options},
        "generator_sha256": state.checksum(generator) if generator else None,
        "replay_sha256": state.checksum(replay.state_dict()),
        "classes": {str(c): _class(replay.of((c,))) for c in replay.classes},
    }


def _class(members: Samples) -> dict[str, Any]:
    depths, counts = members.depth.unique(return_counts=True)
    by_depth = zip(depths.tolist(), counts.tolist(), strict=True)
    return {"samples": len(members), "depths": {str(depth): count for depth, count in by_depth}}
