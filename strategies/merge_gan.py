"""Memory replay GANs: a conditional GAN that keeps old classes by its own replay.

Paper: C. Wu, L. Herranz, X. Liu, Y. Wang, J. van de Weijer, B. Raducanu, "Memory Replay GANs: Learning to
Generate New Categories without Forgetting", NeurIPS 2018, arXiv 1809.02058. With G′ the frozen generator of
the task before:

  joint training with replay (JTR): the GAN is trained further on real(new) ∪ {G′(z, c)}, c old
  replay alignment (RA):            the GAN is trained further on real(new) alone, its generator with
                                    L_GAN + λ E_{z, c old} ‖G(z, c) − G′(z, c)‖²

so that in RA a latent keeps its image. The classifier, which the paper has for judging only, is trained on
real(new) ∪ replay(old).

Deviations:
- StyleGAN2 with a projection discriminator in place of AC-GAN with WGAN-GP. In RA, z comes with StyleGAN2's
  noise inputs, the same for G and G′, and G′ has the averaged weights, with which it samples.
- A task brings any number of classes; the paper's brings one.
- JTR's replay is drawn once, as everywhere here, and as large as the real set of its class; the release draws
  G′ anew in each step. JTR is therefore `bootstrap` with this generator.
- λ: the release's factor of 1e-3 (MNIST, LSUN; SVHN: 1e-2) multiplies half the sum over a batch of 64, so
  0.03 of the mean over images here, while one class is old; with k it divides this by k, and we do not. Its
  adversarial loss is another, so the default is a start, not a published value. Read in the release, not in
  the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Gt

from cl_bench import register_strategy
from cl_bench.errors import UserError
from cl_bench.generator import Alignable
from cl_bench.mix import training_set
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategies.replay_strategy import ReplayStrategy
from cl_bench.strategy import Setting
from cl_bench.stream import Task

WEIGHT = 0.03


@dataclass(frozen=True)
class MergeGANOptions(TrainingOptions):
    method: Literal["joint", "alignment"] = "joint"
    """joint training with replay (JTR), or replay alignment (RA)"""
    alignment_weight: Annotated[float, Gt(0)] | None = None
    """λ of replay alignment, of the squared distance summed over an image in [-1, 1]; none for 0.03"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "joint" and self.alignment_weight is not None:
            raise ValueError("alignment_weight has no effect on method=joint; say method=alignment")
        if self.method == "alignment" and self.start == "fresh":
            raise ValueError("method=alignment goes on from the previous generator; leave out start=fresh")


@register_strategy("merge-gan")
class MergeGAN(ReplayStrategy):
    """Conditional GAN that replays old classes: joint training with replay, or replay alignment."""

    paper = "Wu et al. 2018, Memory Replay GANs, NeurIPS 2018, arXiv 1809.02058"
    needs = "for method=alignment a generator that can be aligned, stylegan2"
    stores = "the replay set"
    cost = "drawing the replay set, once a task; with alignment a pass of the former generator in each step"
    limits = "drifts as bootstrapping does; method=alignment takes stylegan2 only, and no loop"
    Options = MergeGANOptions
    default_generator = "stylegan2"

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        if options.method == "alignment":
            self.need_new_classes()
            if not isinstance(self.generator, Alignable):
                raise UserError(
                    f"merge-gan: generator {self.generator.name!r} cannot be aligned with its former self; "
                    "use --generator stylegan2 or method=joint"
                )

    def observe(self, task: Task) -> None:
        options, new = self.options, self._new(task)
        data = training_set(new, None, self.replay)
        if options.start == "fresh" and task.index > 0:
            self.classifier, self.generator = self.new_classifier(), self.setting.generator()
        self.classifier.fit(
            data, self.progress, steps=options.classifier_steps, held_out=options.held_out(task)
        )
        if options.method == "alignment" and self.seen:
            assert isinstance(self.generator, Alignable)
            self.generator.fit_aligned(new, self.seen, options.alignment_weight or WEIGHT)
        else:
            self.generator.fit(data)
        # What is aligned with a sample is as deep as what is trained on it.
        self._finish(new, data)
