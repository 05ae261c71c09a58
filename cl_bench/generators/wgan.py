"""WGAN on vectors: a critic that must be 1-Lipschitz, by a gradient penalty or by clipped weights.

Papers: M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein GAN", 2017 (arXiv 1701.07875), algorithm 1; I.
Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved Training of Wasserstein GANs", 2017
(1704.00028), algorithm 1. The self-consuming loop of M. Zverev, A. Koepke, J. Henriques 2025 (2512.11867) on
five Gaussians.

  x̃ = G(z, y), z ~ N(0, I);  G: −E D(x̃, y)
  D: E D(x̃, y) − E D(x, y) + λ E (‖∇D(x̂, y)‖ − 1)²,  x̂ = u x + (1 − u) x̃, u ~ U(0, 1)   penalty=gradient
     E D(x̃, y) − E D(x, y), each weight then clipped to [−c, c]                           penalty=clipping
  a step: n_critic updates of D, one of G
  gradient: λ = 10, Adam(0.5, 0.9) at 1e-4;  clipping: c = 0.01, RMSprop at 5e-5;  both n_critic = 5

D is a perceptron with ReLUs, so its gradient has no curvature of its own: with h_i = ReLU(W_i h_{i−1} + b_i)
and masks m_i = [h_i > 0], ∇D = W_1ᵀ(m_1 ∘ W_2ᵀ(m_2 ∘ … w)). The penalty is taken of that product, through
which weights get exactly the gradient that differentiating D twice gives (almost everywhere), by products
alone. The fakes of all n_critic updates are made at once: G does not change meanwhile.

Deviations: both networks have three hidden layers of 128 ReLUs (the toy experiments of Gulrajani et al.: 512;
Zverev et al. do not say), which begin as He et al. 2015 have them, the last layer as Glorot and Bengio 2010.
Adam's constants are those of that toy's release; the paper has (0, 0.9) for images. Classes come as one-hot
labels beside z and x; fakes have the labels of the real batch. Data are centred and scaled (unit.py). Batches
of 64 are Arjovsky et al.'s. Averaged weights (`ema`) are in neither paper.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torch.nn.functional import linear, one_hot, relu

from cl_bench import register_generator
from cl_bench.costs import evaluated, sampling
from cl_bench.divergence import LossGuard
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.generators.unit import VectorUnit
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec
from cl_bench.training import Average

LEARNING_RATE = {"gradient": 1e-4, "clipping": 5e-5}
BETAS = (0.5, 0.9)
LAMBDA, CLIP = 10.0, 0.01
UNIT_STD = 0.5  # at 1, and G as large at first, training on gmm5 was less steady


@dataclass(frozen=True)
class WGANOptions:
    penalty: Literal["gradient", "clipping"] = "gradient"
    """what keeps the critic Lipschitz: a penalty on its gradient (WGAN-GP), or clipped weights (WGAN)"""
    steps: Annotated[int, Gt(0)] = 2000
    """updates of the generator per task"""
    batch: Annotated[int, Gt(0)] = 64
    """samples per update of either network, Arjovsky et al.'s m"""
    n_critic: Annotated[int, Gt(0)] = 5
    """updates of the critic for each of the generator"""
    learning_rate: Annotated[float, Gt(0)] | None = None
    """rate of both networks, constant;
    none for the papers': 1e-4 with penalty=gradient, 5e-5 with clipping"""
    gradient_weight: Annotated[float, Ge(0)] | None = None
    """λ of penalty=gradient; none for 10"""
    clip: Annotated[float, Gt(0)] | None = None
    """largest absolute weight of the critic with penalty=clipping; none for 0.01"""
    width: Annotated[int, Gt(0)] = 128
    """hidden units per layer, of three layers, in both networks"""
    latent: Annotated[int, Gt(0)] | None = None
    """dimensions of z; none for as many as the data have"""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """decay of averaged weights that sampling uses; 0 samples from the weights themselves"""

    def __post_init__(self) -> None:
        if self.penalty == "clipping" and self.gradient_weight is not None:
            raise ValueError("gradient_weight has no effect with penalty=clipping")
        if self.penalty == "gradient" and self.clip is not None:
            raise ValueError("clip has no effect with penalty=gradient")


@register_generator("wgan")
class WGAN(Generator):
    """Wasserstein GAN of vectors, with gradient penalty (WGAN-GP) or clipped weights (WGAN)."""

    paper = "Arjovsky et al. 2017, arXiv 1701.07875; Gulrajani et al. 2017, arXiv 1704.00028"
    Options = WGANOptions

    def __init__(
        self, spec: StreamSpec, options: WGANOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "vector":
            hint = "; for images take --generator resnet-gan" if spec.modality == "image" else ""
            raise UserError(f"generator 'wgan' makes vectors, not {spec.modality} data{hint}")
        size = math.prod(spec.shape)
        self.classes = spec.num_classes if spec.num_classes > 1 else 0
        self.latent = options.latent or size
        self.net = Perceptron(self.latent + self.classes, options.width, size).to(device)
        self.critic = Perceptron(size + self.classes, options.width, 1).to(device)
        self.averaged = copy.deepcopy(self.net).requires_grad_(False)
        self.unit = VectorUnit(spec, UNIT_STD)

    def fit(self, data: Samples) -> None:
        options, critic = self.options, self.critic
        x = self.unit.prepared(data).x.flatten(1).to(self.device)
        labels = self._one_hot(data.y.to(self.device))
        maker, judge = self._optimiser(self.net), self._optimiser(critic)
        average, guard = Average(self.net, self.averaged, options.ema), LossGuard("generator wgan, critic")
        for step in self.progress.steps(options.steps, "generator wgan"):
            pick = torch.randint(len(x), (options.n_critic, options.batch), device=self.device)
            with torch.no_grad():
                z = torch.randn(*pick.shape, self.latent, device=self.device)
                all_fakes = self.net(torch.cat([z, labels[pick]], -1))
            for rows, fake in zip(pick, all_fakes, strict=True):
                loss = self._critic_loss(x[rows], fake, labels[rows])
                guard.check(loss)
                judge.zero_grad()
                loss.backward()
                judge.step()
                if options.penalty == "clipping":
                    critic.clip(options.clip or CLIP)

            label = labels[pick[-1]]
            z = torch.randn(len(label), self.latent, device=self.device)
            fake = self.net(torch.cat([z, label], 1))
            maker.zero_grad()
            critic.requires_grad_(False)
            (-critic(torch.cat([fake, label], 1)).mean()).backward()
            critic.requires_grad_(True)
            maker.step()
            if options.ema:
                average.update(step)

    def _critic_loss(self, real: Tensor, fake: Tensor, label: Tensor) -> Tensor:
        """D's loss on x (n, d), x̃ (n, d) and labels (n, classes)."""
        n, options = len(real), self.options
        scores = self.critic(torch.cat([torch.cat([real, fake]), torch.cat([label, label])], 1))
        loss = scores[n:].mean() - scores[:n].mean()
        if options.penalty == "clipping":
            return loss
        u = torch.rand(n, 1, device=real.device)
        between = torch.cat([fake + u * (real - fake), label], 1)
        norm = self.critic.gradient(between)[:, : real.shape[1]].norm(dim=1)
        weight = LAMBDA if options.gradient_weight is None else options.gradient_weight
        return loss + weight * (norm - 1).square().mean()

    def _optimiser(self, net: nn.Module) -> torch.optim.Optimizer:
        penalty = self.options.penalty
        rate = self.options.learning_rate or LEARNING_RATE[penalty]
        if penalty == "gradient":
            return torch.optim.Adam(net.parameters(), rate, BETAS, fused=True)
        return torch.optim.RMSprop(net.parameters(), rate, foreach=True)

    def _one_hot(self, y: Tensor) -> Tensor:
        """(n,) to (n, classes) float; no columns where there is one class."""
        if not self.classes:
            return torch.empty(len(y), 0, device=y.device)
        return one_hot(y, self.classes).float()

    @torch.no_grad()
    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            z = torch.randn(len(labels), self.latent).to(self.device)
            net = self.averaged if self.options.ema else self.net
            x = net(torch.cat([z, self._one_hot(labels.to(self.device))], 1))
            evaluated(len(labels))
        return self.unit.decoded(x)

    def _parts(self) -> dict[str, Any]:
        parts = {"net": self.net, "critic": self.critic, "unit": self.unit}
        return parts | ({"averaged": self.averaged} if self.options.ema else {})

    def state_dict(self) -> State:
        state: State = {}
        for name, part in self._parts().items():
            state |= prefixed(name, part.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(under(name, state))


class Perceptron(nn.Module):
    """(…, inward) to (…, outward) by three hidden layers of ReLUs.

    With the smaller weights that PyTorch's layers begin with, G would begin as a point, and move about as one
    for thousands of steps.
    """

    def __init__(self, inward: int, width: int, outward: int) -> None:
        super().__init__()
        sizes = [inward, width, width, width]
        hidden = [nn.Linear(i, o) for i, o in itertools.pairwise(sizes)]
        self.hidden: Any = nn.ModuleList(hidden)
        self.last = nn.Linear(width, outward)
        for layer in hidden:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.xavier_uniform_(self.last.weight)
        for layer in (*hidden, self.last):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = relu(layer(x))
        return self.last(x)

    def gradient(self, x: Tensor) -> Tensor:
        """∇ of the one output at each of x (n, inward), (n, inward); differentiable in the weights."""
        masks = []
        with torch.no_grad():
            for layer in self.hidden:
                x = relu(layer(x))
                masks.append(x.sign())
        slope: Tensor = self.last.weight
        for layer, mask in zip(reversed(self.hidden), reversed(masks), strict=True):
            slope = linear(slope * mask, layer.weight.T)
        return slope

    @torch.no_grad()
    def clip(self, bound: float) -> None:
        """Bring every weight and bias into [−bound, bound]."""
        parameters: list[Tensor] = list(self.parameters())
        torch._foreach_clamp_min_(parameters, -bound)
        torch._foreach_clamp_max_(parameters, bound)
