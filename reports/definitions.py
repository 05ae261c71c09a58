"""What each metric is, as the runs recorded it when they were made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cl_bench.finished_run import Run

# Headings of the standard columns where no run at hand measured them.
_TITLES = {
    "accuracy_class_il": "accuracy class-IL",
    "average_accuracy_class_il": "ACC class-IL",
    "average_accuracy_task_il": "ACC task-IL",
    "average_incremental_accuracy_class_il": "AIA class-IL",
    "backward_transfer_class_il": "BWT class-IL",
    "forgetting_class_il": "forgetting class-IL",
    "forward_transfer_task_il": "FWT task-IL",
    "otdd:classifier": "OTDD",
    "fd:classifier": "FD",
    "cas": "CAS",
    "generation_depth": "depth",
}


SLOPE = ":slope"  # the slope of metric "m" is "m:slope", that of its floor "m:slope:floor"


@dataclass(frozen=True)
class Definition:
    """A metric. higher_is_better: None where there is no good direction."""

    name: str
    title: str
    higher_is_better: bool | None
    doc: str

    @property
    def arrow(self) -> str:
        return "" if self.higher_is_better is None else "↑" if self.higher_is_better else "↓"

    @property
    def heading(self) -> str:
        """Title and arrow."""
        return f"{self.title} {self.arrow}".strip()


class Definitions:
    """The metric definitions of `runs`, in their order; the first run that defines a metric counts."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._known: dict[str, Definition] = {}
        self.extractors: dict[str, str] = {}
        """What the runs' extractors are, by name."""
        for run in runs:
            for name, about in (run.manifest.get("extractors") or {}).items():
                self.extractors.setdefault(name, str(about.get("title", name)))
            for name, entry in run.manifest.get("metrics", {}).items():
                definition = Definition(
                    name,
                    str(entry.get("title", name)),
                    entry.get("higher_is_better"),
                    str(entry.get("doc", "")),
                )
                self._known.setdefault(name, definition)

    def __getitem__(self, name: str) -> Definition:
        """The definition of `name`; one without direction and text for a metric that no run defines."""
        return (
            self._known.get(name)
            or self._derived(name)
            or Definition(name, _TITLES.get(name, name), None, "")
        )

    def _derived(self, name: str) -> Definition | None:
        """The definition of a number that reports make of the rows."""
        metric, sign, word = name.partition(SLOPE)
        if not sign:
            return None
        of = self[f"{metric}{word}"]
        return Definition(
            name,
            f"{self[metric].title} slope{word.replace(':', ' ')}",
            # A generator that is bad from the first task on and becomes less so is no better for it.
            None,
            f"least-squares slope of {of.title} over all seen classes against the number of tasks learned, "
            "per task: 0 where nothing drifts",
        )

    def order(self, names: Iterable[str]) -> list[str]:
        """`names`, each once, as the runs defined them; undefined ones last, by name."""
        place = {name: index for index, name in enumerate(self._known)}
        return sorted(set(names), key=lambda name: (place.get(name, len(place)), name))
