"""Generative distillation: a diffusion model learns its former self's predictions, not only its samples.

Paper: S. Masip, P. Rodriguez, T. Tuytelaars, G. van de Ven, "Continual Learning of Diffusion Models with
Generative Distillation", 2023, arXiv 2311.14028. With ε′ the frozen network of the task before, t the number
of tasks so far, and τ a time:

  x̃ ← 2 DDIM steps (η = 0) of ε′;  x̃_τ = α_τ x̃ + σ_τ ε
  loss = (1/t) L_denoise(new) + (1 − 1/t) λ E ‖ε_θ(x̃_τ, τ) − ε′(x̃_τ, τ)‖²,  λ = 0.75
  classifier: (1/t) CE(new) + (1 − 1/t) CE(replay, softmax_old of the classifier of the task before)

x̃ is drawn anew for each batch, as many as there are real images: it costs two evaluations of the network
without gradients. The classifier's replay is drawn once, by the generator's usual
sampler (published: 20 DDIM steps).

Deviations:
- The network knows classes: x̃ is drawn for classes uniform over the old ones, and both networks are told
  them.
- Student and teacher are compared in the network's own parametrisation: ε, v, EDM's F, or a velocity; with
  min-SNR weighting, if it is asked for, on both terms.
- The teacher has the averaged weights, with which it samples.
- The two steps lie at the middles of the halves of time, where ε-prediction, too, knows something of x.
- The classifier's weights 1/t are probabilities of being drawn. Whether the paper weighs the classifier's
  losses so was not checked. Networks and budgets are ours; published: UNet (128, 256, 256, 256), 200 epochs a
  task.
Constants were read in the release's configurations (`teacher_steps`, `teacher_eta`, `weight_replay_loss`); λ
is from notes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt

from cl_bench import register_strategy
from cl_bench.classifier import ClassifierOptions
from cl_bench.errors import UserError
from cl_bench.generator import Distillable, Distillation
from cl_bench.mix import training_set
from cl_bench.strategies.replay_strategy import ReplayStrategy
from cl_bench.strategy import Setting
from cl_bench.stream import Task


@dataclass(frozen=True)
class GenerativeDistillationOptions(ClassifierOptions):
    lambda_: Annotated[float, Gt(0)] = 0.75
    """weight λ of the distance to the teacher (noted from the release: 0.75)"""
    teacher_steps: Annotated[int, Gt(0)] = 2
    """DDIM steps of the teacher's samples while the generator is trained (release: 2)"""
    classifier_steps: Annotated[int, Gt(0)] = 400
    """training steps of the classifier per task"""


@register_strategy("generative-distillation")
class GenerativeDistillation(ReplayStrategy):
    """Diffusion model distilled from its former self; classifier taught by the old one's soft labels."""

    paper = "Masip et al. 2023, arXiv 2311.14028"
    needs = "a generator that can be distilled: ddpm, edm, flow"
    stores = "the replay set, for the classifier; while training, a frozen copy of the generator"
    cost = (
        "drawing the replay set, once a task; in each generator step a batch of the teacher, of "
        "`teacher_steps` evaluations, on which teacher and student are compared"
    )
    limits = "takes ddpm, edm and flow only, and no loop"
    Options = GenerativeDistillationOptions
    default_generator = "ddpm"

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self.need_new_classes()
        if not isinstance(self.generator, Distillable):
            raise UserError(
                f"generative-distillation: generator {self.generator.name!r} has no predictions to distil; "
                "use --generator ddpm, edm or flow"
            )

    def observe(self, task: Task) -> None:
        new, old, t = self._new(task), self.replay, task.index + 1
        data = training_set(new, None, old)
        weights = targets = None
        if old is not None:
            weights = torch.cat(
                [torch.full((len(new),), 1 / t / len(new)), torch.full((len(old),), (1 - 1 / t) / len(old))]
            )
            targets = self._soft_targets(new, old)
        self.classifier.fit(
            data, self.progress, steps=self.options.classifier_steps, weights=weights, targets=targets
        )
        assert isinstance(self.generator, Distillable)
        if old is None:
            self.generator.fit(new)
        else:
            share = 1 / t
            weight = (1 - share) * self.options.lambda_
            steps = self.options.teacher_steps
            self.generator.fit_distilled(new, Distillation(self.seen, share, weight, steps))
        # What is distilled from a sample is as deep as what is trained on it.
        self._finish(new, data)
