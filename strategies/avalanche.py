"""Avalanche's strategies on our streams: EWC, LwF, replay and the like, the usual baselines.

Paper: A. Carta et al. 2023, "Avalanche: A PyTorch Library for Deep Continual Learning", JMLR 24; each
method has a paper of its own (`avalanche_methods.py`, and `cl-bench show avalanche:EWC`). The strategy
object is Avalanche's, untouched; it is handed one experience per task and asked for logits. It makes no
data, so generative metrics are left out.

Deviations from Avalanche's own training loop, so that a table compares methods and not budgets:
- the network, its first weights and AdamW with a rate that falls to zero in each task by a cosine are those
  of our classifier (`cl_bench/classifier.py`); the optimiser starts afresh in each task;
- a task has exactly `classifier_steps` steps; Avalanche counts epochs, and here the last may be cut short;
- batches are augmented whole, as the stream allows, before student and old network see them, so that
  distillation compares the same view; batches that come from a memory of their own (DER, ER_ACE, MIR,
  AGEM) likewise. Memories hold plain samples: DER's logits are those of the plain sample after its task
  (Avalanche's way; the paper stores them on the way); GEM's constraints, EWC's and MAS's importances are
  computed on plain ones;
- iCaRL's class means come from Avalanche, and its mirrored exemplars too, but only where the stream's
  augmentation mirrors: a mirrored digit is another digit. Classes not yet seen have no mean; Avalanche
  gives them zeros, which may lie nearer than the right one, and here they come last.

Left out: what trains once on the whole stream (JointTraining) or forgets by design (FromScratchTraining),
needs task ids, networks or losses of its own (PNN, PackNet, CWRStar, AR1, ExpertGate, LearningToPrompt,
StreamingLDA, LFL, CoPE, SCR, ER_AML, FeatureReplay, GSS_greedy), leaves the loop's hooks out (MER), asks
torch for what it no longer has (BiC), or replays by a generator, which the rest of cl-bench is for.

State: Avalanche's memories and importances can only be pickled, and nothing here is ever unpickled. The
checkpoint holds what predictions need; a run goes on by repeating its finished tasks with their seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from cl_bench import register_strategy
from cl_bench.augmentation import Augmentation
from cl_bench.avalanche_bridge import newest_experience, silence, supervised_strategy
from cl_bench.classifier import PREDICTION_BATCH, Classifier
from cl_bench.divergence import LossGuard
from cl_bench.errors import UserError, unknown
from cl_bench.parametrised import Parametrised
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.state import State, prefixed, under
from cl_bench.strategies.avalanche_methods import METHODS, Method, options_of
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import Task

UNSEEN = -4.0  # below the negative distance of any two unit vectors


@dataclass(frozen=True)
class AvalancheOptions:
    """Options of every Avalanche strategy."""

    classifier_steps: Annotated[int, Gt(0)] = 400
    """training steps per task"""
    batch: Annotated[int, Gt(0)] = 128
    """new samples per training step; replay adds its own"""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adamw decays weights by 1e-2, adam not at all; sgd has momentum 0.9"""
    learning_rate: Annotated[float, Ge(0)] = 1e-3
    """rate at each task's start; it falls to zero by a cosine"""


class Network(nn.Module):
    """Our classifier's network as Avalanche strategies take it: data as the stream has them to logits."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.features = nn.Sequential(Input(classifier.spec.shape), classifier.body)
        self.head = classifier.head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Input(nn.Module):
    """Data as the stream has them to what the network takes: one shape, images in [−1, 1]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return scaled(x.reshape(-1, *self.shape))


@register_strategy("avalanche")
class AvalancheStrategy(Parametrised, Strategy):
    """avalanche:NAME runs an Avalanche strategy: EWC, LwF, SI, Replay, iCaRL, DER, Cumulative, …

    The others are Naive, MAS, ER_ACE, MIR, GDumb, GEM and AGEM. They make no data, so they take no generator.
    """

    paper = "Carta et al. 2023, Avalanche, JMLR 24(363)"
    needs = "avalanche-lib 0.6, whose import takes 8 seconds and more"
    stores = "as the method has it, for example `mem_size` real samples"
    cost = "as the method has it"
    limits = (
        "makes no data, so accuracies are its only numbers; a run goes on by repeating its finished tasks"
    )
    uses_generator = False
    takes = "NAME"
    loads = "avalanche"
    Options = AvalancheOptions
    resumes_by_repeating = True

    method: ClassVar[Method]

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        spellings = {name.lower(): name for name in METHODS}
        spellings |= {method.cls.lower(): name for name, method in METHODS.items() if method.cls}
        if argument.lower() not in spellings:
            raise unknown("Avalanche strategy", argument, METHODS)
        name = spellings[argument.lower()]
        method = METHODS[name]
        made = super().parametrised(name)
        made.method, made.paper = method, f"{method.paper}; in {cls.paper}"
        made.Options = options_of(supervised_strategy(method.cls or name), method, AvalancheOptions, name)
        return made

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        if self.spec.stationary:
            raise UserError(
                f"strategy {self.name!r} trains on each task's real data; here every task repeats them, and "
                "nothing could be forgotten; choose a benchmark whose tasks bring new classes"
            )
        network = Network(Classifier(self.spec, self.device))
        self.nearest_mean = self.argument == "iCaRL"
        self.learner = self._learner(network)
        # All tasks' data, for Avalanche's experiences are parts of a stream; only Cumulative looks back.
        self.real: list[Samples] = []
        self.means: Tensor | None = None
        self.restored = False

    def _learner(self, network: Network) -> Any:
        """Avalanche's strategy object. Raises UserError for options that do not go together."""
        options = self.options
        shared = {field.name for field in fields(AvalancheOptions)}
        own = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in shared}
        least = self.spec.num_tasks**2
        if self.argument == "AGEM" and own["sample_size"] < least:
            raise UserError(
                f"strategy {self.name!r}: sample_size={own['sample_size']} is too small for "
                f"{self.spec.num_tasks} tasks; expected at least {least}"
            )
        parts = {"feature_extractor": network.features, "classifier": network.head, "buffer_transform": None}
        whole = {"model": network, "criterion": nn.CrossEntropyLoss()}
        try:
            with silence():
                return supervised_strategy(self.method.cls or self.argument)(
                    **(parts if self.nearest_mean else whole),
                    **own,
                    optimizer=_optimiser(network, options),
                    device=self.device,
                    train_mb_size=options.batch,
                    eval_mb_size=PREDICTION_BATCH,
                    evaluator=None,
                    plugins=[
                        Training(
                            self.name,
                            options.classifier_steps,
                            options.learning_rate,
                            self.spec.augmentation,
                            self.progress,
                        )
                    ],
                )
        except AssertionError as error:
            raise UserError(f"strategy {self.name!r}: {error}") from None

    def observe(self, task: Task) -> None:
        if self.restored:
            raise UserError(
                f"strategy {self.name!r} cannot train on from a state dict, which holds what predictions "
                "need; repeat its finished tasks, as `cl-bench resume` does"
            )
        real = task.train
        if self.nearest_mean and not self.spec.augmentation.flip:
            # Avalanche mirrors exemplars of four dimensions, and only those.
            real = Samples(real.x.unsqueeze(1), real.y, real.depth)
        self.real.append(real)
        experience = newest_experience(self.real, self.spec.num_classes)
        with silence():
            self.learner.train(experience, eval_streams=[], reset_optimizer_state=True)
        if self.nearest_mean:
            self.means = self._class_means()

    def _class_means(self) -> Tensor:
        """iCaRL's unit means, (num_classes, width); zeros for classes not yet seen."""
        means: Tensor = self.learner.model.eval_classifier.class_means
        return means.clone()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        self.learner.model.eval()
        return torch.cat([self._logits(part.to(self.device)).cpu() for part in x.split(PREDICTION_BATCH)])

    def _logits(self, x: Tensor) -> Tensor:
        features, head = self._network()
        hidden = features(x)
        if self.means is None:
            return head(hidden)
        unit = nn.functional.normalize(hidden, dim=1)
        # Not by matrix products, whose rounding depends on the rest of the batch.
        distance = torch.cdist(unit, self.means, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.where(self.means.any(1), -distance, UNSEEN)

    def _network(self) -> tuple[nn.Module, nn.Module]:
        """Features and head as they are now; some strategies replace their model."""
        model = self.learner.model
        if self.nearest_mean:
            return model.feature_extractor, model.train_classifier
        return model.features, model.head

    def state_dict(self) -> State:
        features, head = self._network()
        state = prefixed("features", features.state_dict()) | prefixed("head", head.state_dict())
        return state if self.means is None else state | {"means": self.means}

    def load_state_dict(self, state: State) -> None:
        features, head = self._network()
        features.load_state_dict(under("features", state))
        head.load_state_dict(under("head", state))
        self.means = state["means"].to(self.device) if "means" in state else None
        self.restored = True


def _optimiser(network: nn.Module, options: AvalancheOptions) -> torch.optim.Optimizer:
    parameters, rate = network.parameters(), options.learning_rate
    if options.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9)
    if options.optimizer == "adam":
        return torch.optim.Adam(parameters, rate, fused=True)
    return torch.optim.AdamW(parameters, rate, weight_decay=1e-2, fused=True)


class Training:
    """What is ours in Avalanche's loop, as one of its plug-ins: steps, rate, augmentation, guard, progress.

    It comes first among a strategy's plug-ins, so that the others see augmented batches.
    """

    def __init__(
        self, name: str, steps: int, rate: float, augmentation: Augmentation, progress: Progress
    ) -> None:
        self.name, self.steps, self.rate = name, steps, rate
        self.augmentation, self.progress = augmentation, progress

    def before_training_exp(self, learner: Any, **_: Any) -> None:
        learner.train_epochs = math.ceil(self.steps / len(learner.dataloader))
        for group in learner.optimizer.param_groups:
            group["lr"] = self.rate
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(learner.optimizer, self.steps)
        self.guard = LossGuard(self.name)
        self.counted = iter(self.progress.steps(self.steps, self.name))
        self.done = 0
        for owner in (learner, *learner.plugins):
            for memory in ("replay_loader", "buffer_dliter"):
                if getattr(owner, memory, None) is not None:
                    setattr(owner, memory, self._augmented(getattr(owner, memory)))

    def _augmented(self, batches: Iterator[Any]) -> Iterator[Any]:
        for x, *rest in batches:
            yield (self._augment(x), *rest)

    def _augment(self, x: Tensor) -> Tensor:
        return self.augmentation(x.view(-1, *x.shape[-3:])).view_as(x) if self.augmentation else x

    def before_training_iteration(self, learner: Any, **_: Any) -> None:
        next(self.counted)
        learner.mbatch[0] = self._augment(learner.mbatch[0])

    def before_update(self, learner: Any, **_: Any) -> None:
        self.guard.check(learner.loss)

    def after_training_iteration(self, learner: Any, **_: Any) -> None:
        self.schedule.step()
        self.done += 1
        if self.done == self.steps:
            learner.stop_training()

    def after_training_exp(self, learner: Any, **_: Any) -> None:
        next(self.counted, None)
