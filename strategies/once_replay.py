"""Replay drawn once: the control of every remedy against drift.

Source: the control for an open question of M. Zverev, A. S. Koepke, J. F. Henriques 2025, arXiv 2512.11867:
how to keep real and replayed data aligned. Ours, as far as we know. As `bootstrap`, mix real 0, lambda 1, but

  the replay of a class is drawn at the end of the task that brought it, and kept for good,

so that its generation depth stays 1 and its distance to real data cannot grow. Classifier and generator are
trained on new real data and all kept replay.

The price is storage: the kept sets together are as large as the data set itself (`stored_bytes` of each task,
"stored MB" in the report, counts it). Keeping the real data instead would cost no more and be better
(`joint`); where they must not be kept, samples made from them may have to go too. A control, not a remedy.
`bootstrap` has a replay set of the same size on disk, but could draw it again from its generator.

A sample drawn anew (`sample`), as opposed to the kept set, comes from the newest generator and has depth 2
for an old class.
"""

from __future__ import annotations

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.samples import Samples, concat
from cl_bench.strategies.mix_strategy import MixStrategy


@register_strategy("once-replay")
class OnceReplay(MixStrategy):
    """Draw a class's replay once and keep it: depth 1 for ever, stored like the real data (control)."""

    paper = "none; the control for an open question of Zverev, Koepke, Henriques 2025, arXiv 2512.11867"
    stores = "the replay sets of all classes, for good: as much as the real data"
    cost = "drawing the replay of new classes, once"
    limits = "a control: where samples may be kept for good, storage is the price"

    def mix(self) -> Mix:
        return Mix(real=0, lambda_=1)

    def draw_replay(self, generation: int) -> None:
        kept = self.replay
        have = () if kept is None else kept.classes
        y = self.policy.replay_labels({c: n for c, n in self.real_counts.items() if c not in have})
        with self.progress.phase(f"replay: {len(y)} samples, kept for good"):
            drawn = Samples(self.sample(y), y, self._depths_of(y))
        self.replay = drawn if kept is None else concat([kept, drawn])
