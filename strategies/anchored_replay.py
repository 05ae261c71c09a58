"""Anchored replay: samples of an old class are held to the moments that its real data had.

Source: our own answer to an open question of M. Zverev, A. S. Koepke, J. F. Henriques 2025, arXiv 2512.11867:
how to keep real and replayed data aligned in a latent space while a generator trains on its own samples, task
after task. As `bootstrap` (mix real 0, lambda 1), but for two things:

  1. At the end of a task the strategy stores an anchor per new class: the mean, the `rank` leading directions
     of the covariance, and the mean variance in the others, of the class's real data in frozen features φ.
  2. Replay of a class with n real samples, whenever it is drawn: `candidates` · n samples are drawn, moved by
     the affine optimal transport map from their moments to the anchor's (`transport`), and those n of them
     are kept whose moments together come closest to the anchor. cl_bench/anchors.py has both formulas.

     guidance, if wanted:  x̂ is pulled by s ∇ log N(φ(x̂); μ_c, Σ_c) while sampling

Each task thus starts from samples whose first two moments are those of real data, instead of the previous
generation's: what drifts is the rest. Moments are of one class each, so that no class pulls at another.
Transport cannot make a weak generator good: what it has too little variance of is amplified, so that blur
becomes noise (look at samples.png). Guidance acts on samples one by one and so takes variance away; it is off
unless asked for.

φ (`extractor`) is made from the first task's real data, and never changed: principal components of the data
("pca"), of a fixed random convolutional network ("random"), or of the frozen classifier ("classifier"). It is
the strategy's own: evaluators measure in a reference classifier trained on the data of all tasks, which no
strategy is ever given. Only "pca" is linear in the data, so only it allows transport.

What is stored besides what `bootstrap` stores: per class (rank/2 + 1) d + 1 numbers of four bytes, d being
`dimensions` or as many as there are, and φ once. It is in the checkpoint, hence in `stored_bytes`. On 8×8
digits (d ≤ 64, rank 16) an anchor is about a quarter of its class's real data in size; on CIFAR-100 (d = 128)
0.3 %.

task_XX/anchors.json has, per class, the candidates drawn, how many were kept, `effective_share` (what
importance weights from candidates to anchor would accept), and the distance to the anchor of a random choice
("before"), of that after transport, and of the choice made ("after").

A sample drawn by `sample` is treated in the same way, within a set of at least SETS times as many as the
anchor has directions, since moments of fewer say little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.anchor_features import AnchorFeatures, Kind
from cl_bench.anchors import Anchor
from cl_bench.checkpoint import write_record
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.mix import Mix
from cl_bench.processes import working
from cl_bench.samples import Samples, labels_for
from cl_bench.state import State, prefixed, under
from cl_bench.strategies.mix_strategy import MixStrategy, TrainingOptions
from cl_bench.strategy import Setting
from cl_bench.training import Switch, switched

SETS = 4


@dataclass(frozen=True)
class AnchoredReplayOptions(TrainingOptions):
    candidates: Annotated[int, Ge(1)] = 4
    """samples drawn for each one kept; 1 for no choice"""
    transport: Switch = "auto"
    """move candidates by the affine map to the anchor's moments; auto: with extractor=pca, where alone it
    can be"""
    extractor: Kind = "pca"
    """frozen features, from the first task: principal components of the data, of a random convolutional
    network, or of the classifier"""
    dimensions: Annotated[int, Gt(0)] = 128
    """principal components that make a feature, fewer where there are not so many"""
    rank: Annotated[int, Gt(0)] = 16
    """directions of a class's covariance that its anchor keeps, beside the mean variance in the others"""
    guidance: Annotated[float, Ge(0)] = 0.0
    """scale of the gradient of the anchor's log density while sampling; 0 for none"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.transport == "on" and self.extractor != "pca":
            raise ValueError(
                f"transport=on moves data along linear features, extractor=pca, not {self.extractor}"
            )


@register_strategy("anchored-replay")
class AnchoredReplay(MixStrategy):
    """Replay held to the mean and covariance that each class's real data had, by transport and choice."""

    paper = "none yet; an answer to an open question of Zverev, Koepke, Henriques 2025, arXiv 2512.11867"
    needs = "a generator, one that can be guided for guidance above 0"
    stores = "the replay set, φ, and an anchor per class: (rank/2 + 1) d + 1 numbers"
    cost = "drawing `candidates` times the replay set, once a task, and choosing among them"
    limits = "moments are held, nothing else; a weak generator's blur becomes noise"
    Options = AnchoredReplayOptions

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        if options.guidance and self.generator is not None and not self.generator.guidable:
            raise UserError(
                f"guidance={options.guidance:g} has no effect: generator {self.generator.name!r} cannot be "
                "guided"
            )
        self.moving = switched(options.transport, options.extractor == "pca")
        self.extractor: AnchorFeatures | None = None
        self.anchors: dict[int, Anchor] = {}
        # Of the latest drawing, by class.
        self.measured: dict[str, dict[str, float]] = {}

    def mix(self) -> Mix:
        return Mix(real=0, lambda_=1)

    def remember(self, new: Samples) -> None:
        if self.extractor is None:
            self.extractor = self._new_extractor()
            self.extractor.fit(new)
        for c in new.classes:
            features = self.extractor.features(new.of((c,)).x)
            self.anchors[c] = Anchor.of(features, self.options.rank)

    def _new_extractor(self) -> AnchorFeatures:
        options = self.options
        # Of one class there is no classifier, and asking for one says so.
        classifier = self.classifier or options.new_classifier(self.spec, self.device)
        return AnchorFeatures(options.extractor, options.dimensions, self.spec, classifier, self.device)

    def draw_replay(self, generation: int) -> None:
        super().draw_replay(generation)
        write_record("anchors.json", self.measured)

    def sample(self, labels: Tensor) -> Tensor:
        kept = {
            c: max(n, SETS * self.anchors[c].rank)
            for c, n in Samples(labels, labels, labels).counts().items()
        }
        y = labels_for({c: self.options.candidates * n for c, n in kept.items()})
        guide = Guide(self._log_prob, self.options.guidance) if self.options.guidance else None
        assert self.generator is not None  # the mix replays, so one was asked for
        candidates = self.generator.sample(y, guide)
        x = candidates[: len(labels)].clone()
        self.measured = {}
        for c, n in kept.items():
            wanted = labels == c
            x[wanted] = self._anchored(c, candidates[y == c], n)[: int(wanted.sum())]
        return x

    def _anchored(self, c: int, x: Tensor, n: int) -> Tensor:
        """The n of candidates x of class c that are kept, moved if they are to be, in the order drawn."""
        assert self.extractor is not None
        anchor, features = self.anchors[c], self.extractor.features(x)
        found = {
            "candidates": len(x),
            "kept": n,
            "effective_share": anchor.effective_share(features),
            "distance_before": anchor.distance(features[:n]),
        }
        if self.moving:
            x = self.extractor.moved(x, anchor.transport(features) - features)
            features = self.extractor.features(x)
            found["distance_transported"] = anchor.distance(features[:n])
        index = anchor.choose(features.to(self.device), n).to(self.device)
        # Rounding may differ between processes; the choice must not.
        working().follow([index])
        index = index.cpu()
        found["distance_after"] = anchor.distance(features[index])
        self.measured[str(c)] = {name: round(value, 6) for name, value in found.items()}
        return x[index]

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """log N(φ(x); μ_y, Σ_y) up to a constant of y."""
        assert self.extractor is not None
        features = self.extractor(x)
        log_prob = torch.zeros(len(y), device=x.device)
        for c in y.unique().tolist():
            log_prob[y == c] = self.anchors[c].log_density(features[y == c])
        return log_prob

    def state_dict(self) -> State:
        state = super().state_dict()
        if self.extractor is not None:
            state |= prefixed("extractor", self.extractor.state_dict())
        for c, anchor in self.anchors.items():
            state |= prefixed(f"anchors.{c}", anchor.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        extractor = under("extractor", state)
        if extractor:
            self.extractor = self._new_extractor()
            self.extractor.load(extractor)
        self.anchors = {c: Anchor(**under(f"anchors.{c}", state)) for c in self.real_counts}
