"""draft"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.anchors import Anchor, effective_share
from cl_bench.errors import UserError
from cl_bench.extractor import Extractor, Kind
from cl_bench.generator import Guide
from cl_bench.mix import Mix
from cl_bench.samples import Samples, scaled, to_uint8
from cl_bench.state import State, prefixed, under
from cl_bench.strategies.mix_strategy import MixStrategy, TrainingOptions
from cl_bench.strategy import Setting


@dataclass(frozen=True)
class AnchoredReplayOptions(TrainingOptions):
    candidates: Annotated[int, Ge(1)] = 4
    """samples drawn per sample kept"""
    extractor: Kind = "pca"
    """x"""
    dimensions: Annotated[int, Gt(0)] = 64
    """x"""
    rank: Annotated[int, Gt(0)] = 64
    """x"""
    guidance: Annotated[float, Ge(0)] = 0.0
    """x"""
    transport: bool = False
    """x"""


@register_strategy("anchored-replay")
class AnchoredReplay(MixStrategy):
    """Anchored."""

    paper = "none"
    Options = AnchoredReplayOptions

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self.extractor: Extractor | None = None
        self.anchors: dict[int, Anchor] = {}

    def mix(self) -> Mix:
        return Mix(real=0, lambda_=1)

    def remember(self, new: Samples) -> None:
        o = self.options
        if self.extractor is None:
            self.extractor = Extractor(o.extractor, o.dimensions, self.spec, self.classifier, self.device)
            self.extractor.fit(new)
        for c in new.classes:
            self.anchors[c] = Anchor.of(self.extractor.features(new.of((c,)).x), o.rank)

    def sample(self, labels: Tensor) -> Tensor:
        o = self.options
        guide = Guide(self._log_prob, o.guidance) if o.guidance else None
        counts = dict(zip(*[t.tolist() for t in labels.unique(return_counts=True)], strict=True))
        x = None
        for c, n in counts.items():
            cand = self.generator.sample(torch.full((o.candidates * n,), c), guide)
            f = self.extractor.features(cand)
            before = self.anchors[c].distance(f[:n]) if n > 3 else 0
            if o.transport:
                cand = self._transport(cand, f, self.anchors[c])
                f = self.extractor.features(cand)
            index = self.anchors[c].choose(f.to(self.device), n)
            after = self.anchors[c].distance(f[index]) if n > 3 else 0
            if n > 20:
                print(c, n, "before", round(before, 4), "after", round(after, 4), "ess", round(effective_share(self.anchors[c], f), 4), "all", round(self.anchors[c].distance(f), 4))
            if x is None:
                x = torch.empty(len(labels), *cand.shape[1:], dtype=cand.dtype)
            x[labels == c] = cand[index]
        return x if x is not None else self.generator.sample(labels)

    def _transport(self, x, f, anchor):
        own = Anchor.of(f, f.shape[1])
        def cov(a):
            v, q = a.eigen()
            v = v + 1e-3 * v.mean()
            return (q.T * v) @ q
        def root(m, p):
            v, q = torch.linalg.eigh(m)
            return (q * v.clamp(min=1e-12) ** p) @ q.T
        s, r = cov(own), cov(anchor)
        h, ih = root(s, .5), root(s, -.5)
        a = ih @ root(h @ r @ h, .5) @ ih
        moved = anchor.mean.double() + (f.double() - own.mean.double()) @ a.T
        # f = (x - mean) @ axes, axes = V / unit
        back = torch.linalg.pinv(self.extractor.axes.double().cpu())
        dx = (moved - f.double()) @ back
        return to_uint8((scaled(x).flatten(1).double() + dx).reshape(x.shape))

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        f = self.extractor(x)
        out = torch.zeros(len(y), device=x.device)
        for c in y.unique().tolist():
            out[y == c] = self.anchors[c].log_density(f[y == c])
        return out

    def state_dict(self) -> State:
        state = super().state_dict()
        if self.extractor is not None:
            state |= prefixed("extractor", self.extractor.state_dict())
        for c, anchor in self.anchors.items():
            state |= prefixed(f"anchors.{c}", anchor.state_dict())
        return state
