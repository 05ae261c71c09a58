"""What a run is, said once when it begins: configuration, versions, data and metrics, plain values all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cl_bench.config import Resolved
from cl_bench.environment import environment, git_revision
from cl_bench.errors import UserError
from cl_bench.run_directory import RunDirectory
from cl_bench.stream import TaskStream


def run_manifest(resolved: Resolved, run_id: str, stream: TaskStream) -> dict[str, Any]:
    """What `manifest.json` of a run says when it begins."""
    return {
        "id": run_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": resolved.config.as_dict(),
        "versions": resolved.versions(),
        "git": git_revision(),
        "environment": environment(resolved.config.device),
        "paper": resolved.strategy.paper,
        "data": {
            "source": resolved.benchmark.source,
            "version": stream.version,
            "fingerprint": stream.fingerprint,
            **({"note": stream.note} if stream.note else {}),
        },
        "tasks": [list(task.classes) for task in stream.tasks],
        "stationary": stream.spec.stationary,
        "modality": stream.spec.modality,
        "shape": list(stream.spec.shape),
        "class_names": list(stream.spec.class_names),
        "replicas": stream.spec.replicas,
        "vocabulary": stream.spec.vocabulary,
        "fresh": stream.spec.fresh,
        "metrics": definitions(resolved),
        "extractors": {},
    }


def definitions(resolved: Resolved) -> dict[str, dict[str, Any]]:
    """What every metric of a run is, as its manifest has it."""
    return {
        name: {"title": metric.title, "higher_is_better": metric.higher_is_better, "doc": metric.doc}
        for cls in resolved.evaluators
        for name, metric in cls.definitions(resolved.extractors, resolved.config.ci).items()
    }


def check_data(directory: RunDirectory, stream: TaskStream) -> None:
    """Raises UserError unless `stream` has the data that the run in `directory` was begun on."""
    recorded = directory.manifest().get("data", {}).get("fingerprint")
    if recorded != stream.fingerprint:
        raise UserError(
            f"{directory.path} was begun on other data (fingerprint {str(recorded)[:12]}, now "
            f"{stream.fingerprint[:12]}); move it away and run again"
        )
