"""The classifier that strategies train, and its cousins: the frozen reference and the CAS probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cl_bench.divergence import LossGuard
from cl_bench.early_stop import EarlyStop
from cl_bench.errors import UserError
from cl_bench.networks import Network, body, chosen, width_of
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.state import State
from cl_bench.stream import StreamSpec
from cl_bench.torchvision_networks import PRETRAINED

BATCH = 128
PREDICTION_BATCH = 1024


@dataclass(frozen=True)
class ClassifierOptions:
    """Options of every strategy that trains a classifier."""

    classifier: Network = "auto"
    """network of the classifier: mlp, cnn, resnet18, resnet32, alexnet; auto: mlp for vectors and small
    images, cnn for others"""
    pretrained: bool = False
    """begin with ImageNet weights from torch hub's cache; classifier=alexnet or resnet18 only"""

    def __post_init__(self) -> None:
        if self.pretrained and self.classifier not in PRETRAINED:
            raise ValueError(
                f"pretrained=true needs classifier={' or '.join(PRETRAINED)}, not {self.classifier}"
            )

    def new_classifier(self, spec: StreamSpec, device: torch.device) -> Classifier:
        """A fresh classifier as these options have it."""
        return Classifier(spec, device, network=self.classifier, pretrained=self.pretrained)


class Classifier:
    """A network over all classes of the stream, for images or vectors (see `networks.py`).

    width: units of its last hidden layer, the dimension of `features`, where the network leaves the choice.
    dropout: share of hidden units dropped while training. pretrained: begin with ImageNet weights. Raises
    UserError for a network that does not fit the data.
    """

    def __init__(
        self,
        spec: StreamSpec,
        device: torch.device,
        width: int = 256,
        dropout: float = 0.0,
        network: Network = "auto",
        pretrained: bool = False,
    ) -> None:
        if spec.modality == "text":
            raise UserError("the classifier takes images or vectors, not text")
        if spec.num_classes < 2:
            raise UserError(
                "this strategy needs a classifier, and the stream's one class leaves nothing to tell apart; "
                "choose bootstrap, mixed, accumulate or another mix"
            )
        self.spec, self.device = spec, device
        self.body = body(spec, width, dropout, network, pretrained)
        self.head = nn.Linear(width_of(chosen(network, spec), width), spec.num_classes)
        self.net = nn.Sequential(self.body, self.head).to(device).eval()

    def fit(
        self,
        data: Samples,
        progress: Progress,
        what: str = "classifier",
        steps: int = 400,
        batch: int = BATCH,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        weights: Tensor | None = None,
        targets: Tensor | None = None,
        rehearsal: Callable[[int], Samples] | None = None,
        held_out: Samples | None = None,
    ) -> None:
        """Train by cross-entropy on `data`, augmented as the stream allows, with AdamW, from the present
        weights on, the rate falling to zero by a cosine. weights: (n,), how often each sample is drawn
        relative to the others; None for all alike. targets: (n, num_classes), probabilities to learn instead
        of the labels. rehearsal: step, from 0, to samples that take the place of so many of the batch.
        held_out: keep the weights that tell most of it right, among the classes of `data`, and stop early
        (see early_stop.py); None to train to the end. Raises TrainingDiverged."""
        x, y = data.x.to(self.device), (data.y if targets is None else targets).to(self.device)
        weights = None if weights is None else weights.to(self.device)
        optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        guard = LossGuard(what)
        early = None
        if held_out is not None and len(held_out):
            early = EarlyStop(self.net, steps, lambda: self._share_right(held_out, data.classes))
        self.net.train()
        for step in progress.steps(steps, what):
            more = rehearsal(step) if rehearsal else data[:0]
            drawn = batch - len(more)
            if weights is None:
                pick = torch.randint(len(y), (drawn,), device=self.device)
            else:
                pick = torch.multinomial(weights, drawn, replacement=True)
            images, wanted = x.index_select(0, pick), y[pick]
            if len(more):
                images = torch.cat([images, more.x.to(self.device)])
                wanted = torch.cat([wanted, more.y.to(self.device)])
            loss = nn.functional.cross_entropy(self.net(scaled(self.spec.augmentation(images))), wanted)
            guard.check(loss)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if early is not None and early.over(step + 1):
                break
        if early is not None:
            early.restore()
        self.net.eval()

    def _share_right(self, data: Samples, classes: tuple[int, ...]) -> float:
        """Share of `data` whose arg-max among `classes` is right; leaves the network in training."""
        among = torch.tensor(classes)
        self.net.eval()
        guessed = among[self.predict(data.x)[:, among].argmax(1)]
        self.net.train()
        return (guessed == data.y).double().mean().item()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Logits (n, num_classes) of data (n, …) in the stream's modality, float32 on the CPU."""
        return self._batched(self.net, x)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Last hidden layer, (n, width), of data in the stream's modality, float32 on the CPU."""
        return self._batched(self.body, x)

    def _batched(self, net: nn.Module, x: Tensor) -> Tensor:
        parts = [net(scaled(part.to(self.device))).cpu() for part in x.split(PREDICTION_BATCH)]
        return torch.cat(parts)

    def log_prob(self, x: Tensor, y: Tensor, classes: tuple[int, ...]) -> Tensor:
        """log p(y | x) among `classes`, (n,), of images already in [−1, 1]; differentiable in x, to guide
        sampling."""
        choices = torch.tensor(classes, device=x.device)
        logits = self.net(x)
        chosen = logits.gather(1, y.unsqueeze(1)).squeeze(1)
        return chosen - logits[:, choices].logsumexp(1)

    def state_dict(self) -> State:
        return dict(self.net.state_dict())

    def load_state_dict(self, state: State) -> None:
        self.net.load_state_dict(state)
