"""Style modulation: a frozen ResNet GAN that makes other images with a small set of new parameters, a style.

Paper: Y. Cong, M. Zhao, J. Li, S. Wang, L. Carin, "GAN Memory with No Forgetting", NeurIPS 2020 (arXiv
2006.07543). For each modulated layer of the base, with weight W and bias b, both frozen, and for each task γ,
β, Γ, B and δ:

  mFiLM, linear W (out, in), a row i:            Ŵ_i  = γ_i  (W_i  − mean W_i)/std W_i   + β_i,   b̂ = b + δ
  mAdaFM, 3×3 convolution W (out, in, 3, 3):     Ŵ_oi = Γ_oi (W_oi − mean W_oi)/std W_oi + B_oi,  b̂ = b + δ

with mean and (unbiased) standard deviation over a row, or over a kernel's nine taps. Scale and shift begin as
std and mean, δ as 0: the first style is the base itself. Modulated are the generator's linear layer and all
3×3 convolutions of its blocks, and those of the discriminator's; shortcuts and the convolutions at the image
stay the base's. Classes: the base's label input is frozen at one constant; a class y adds its own row of a
table to δ of the linear layer, the only thing that depends on the class. The discriminator's last layer is
new, with a logit per class.

Compression (the paper's low-rank variant; constants from its release): of convolutions with 256 output
channels or more,
  Γ = U diag(s) Vᵀ + R, and B likewise: columns U, V of all earlier tasks, frozen; s and R are trained,
  every 10 steps the loss gets 0.01 Σ_i σ_i (0.1 + sigmoid(10 i/n)), σ: the n singular values of R, largest
  first, after training R is decomposed; as many of its columns are appended as bring Σ|s| to a share of the
  whole: 95 % for 256 output channels, 90 % for 512, 80 % for 1024. Only they and s are stored with the task.
A compressed task begins with the previous task's style, R = 0; the first one with the base's, all of it in R.

Deviations: std is raised by 1e-6 (nine taps can be equal), and scales begin there, so that the first style is
exact. The table of classes begins at zero for the same reason. A base with several labels is frozen at the
mean of their embeddings (the release's base has one label, of one dimension). In the release a compressed
layer's δ begins at the first task's; here at the previous one's, as all else does.
Written from the paper and from what its release computes; no code of its authors is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from cl_bench.generators.resnet_gan_networks import DiscriminatorBody, GeneratorBody, GeneratorNetwork
from cl_bench.state import State, prefixed, under

SMALL = 1e-6
FC = "fc"  # the generator's linear layer
# Output channels from which on a layer is compressed, and the share of its singular values that is kept.
MASS = ((1024, 0.8), (512, 0.9), (256, 0.95))
PENALTY_EVERY = 10


def normalised(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(W − mean)/std, mean and std: over rows of a linear layer's weight (out, in), or over the taps of a
    convolution's (out, in, k, k); mean and std are (out,) or (out, in)."""
    taps = weight if weight.ndim == 2 else weight.flatten(2)
    mean, deviation = taps.mean(-1), taps.std(-1) + SMALL
    centred = (taps - mean[..., None]) / deviation[..., None]
    return centred.view_as(weight), mean, deviation


@dataclass(frozen=True)
class FrozenLayer:
    """A layer of the base: its normalised weight, its bias, and the scale and shift that give its weight
    back."""

    weight: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, layer: nn.Linear | nn.Conv2d) -> FrozenLayer:
        weight, mean, deviation = normalised(layer.weight.detach())
        assert layer.bias is not None
        return cls(weight, layer.bias.detach().clone(), deviation, mean)

    def styled(self, scale: Tensor, shift: Tensor) -> Tensor:
        """Ŵ, for a scale and shift of the shapes of `self.scale`."""
        spread = (*scale.shape, *(1,) * (self.weight.ndim - scale.ndim))
        return self.weight * scale.view(spread) + shift.view(spread)


class FrozenBase:
    """The body of a generator or discriminator, whose weights stay; its layers to modulate are normalised
    once and shared by all styles. layers: by their names in the body."""

    def __init__(self, body: GeneratorBody | DiscriminatorBody) -> None:
        self.body = body.eval().requires_grad_(False)
        self.layers = {
            name: FrozenLayer.of(layer)
            for name, layer in body.named_modules()
            if isinstance(layer, nn.Conv2d) and name.endswith(("first", "second"))
        }


class FrozenGenerator(FrozenBase):
    """label: what takes the place of a label's embedding, (embedding,)."""

    def __init__(self, net: GeneratorNetwork) -> None:
        super().__init__(net.body)
        self.geometry, self.latent = net.body.geometry, net.latent
        self.label = net.label.weight.detach().mean(0)
        self.layers = {FC: FrozenLayer.of(net.fc)} | self.layers


class Matrix(nn.Module):
    """A scale or shift that is trained as it is."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value.clone())

    def forward(self) -> Tensor:
        return self.value


@dataclass(frozen=True)
class Columns:
    """U (out, r), V (in, r) and s (r,) of a matrix U diag(s) Vᵀ."""

    left: Tensor
    right: Tensor
    coefficients: Tensor

    def matrix(self) -> Tensor:
        """(out, in)."""
        return (self.left * self.coefficients) @ self.right.T


class LowRankMatrix(nn.Module):
    """U diag(s) Vᵀ + R: s, which begins as that of `columns`, and R are trained; U and V are earlier
    tasks'."""

    def __init__(self, columns: Columns, residual: Tensor) -> None:
        super().__init__()
        self.left, self.right = columns.left, columns.right
        self.coefficients = nn.Parameter(columns.coefficients.clone())
        self.residual = nn.Parameter(residual.clone())

    def forward(self) -> Tensor:
        return Columns(self.left, self.right, self.coefficients).matrix() + self.residual

    def penalty(self) -> Tensor:
        """Σ_i σ_i (0.1 + sigmoid(10 i/n)) of R, a scalar: heavier on small singular values."""
        values = torch.linalg.svdvals(self.residual)
        place = torch.arange(len(values), device=values.device) / len(values)
        return (values * (0.1 + torch.sigmoid(10 * place))).sum()

    def truncated(self, mass: float) -> Columns:
        """The fewest columns of R, perhaps none, that bring Σ|s| to the share `mass` of what all of them
        would make it; `coefficients` are the old ones and then theirs."""
        # On the CPU in double precision: the same choice on every device.
        left, values, right = torch.linalg.svd(self.residual.detach().cpu().double(), full_matrices=False)
        old = self.coefficients.detach()
        reached = old.abs().sum().cpu().double() + torch.cat([values.new_zeros(1), values.cumsum(0)])
        # The small amount keeps rounding from asking for more than there is.
        keep = int((reached < mass * reached[-1] * (1 - 1e-12)).sum())
        found = (left[:, :keep], right[:keep].T, values[:keep])
        new = [part.to(old.device, old.dtype).contiguous() for part in found]
        return Columns(new[0], new[1], torch.cat([old, new[2]]))


class Modulation(nn.Module):
    """A layer's style: scale, shift and δ."""

    def __init__(self, layer: FrozenLayer, scale: nn.Module, shift: nn.Module, bias: Tensor) -> None:
        super().__init__()
        self.layer, self.scale, self.shift = layer, scale, shift
        self.bias = nn.Parameter(bias.clone())

    @classmethod
    def neutral(cls, layer: FrozenLayer) -> Modulation:
        """The style that gives the layer itself."""
        return cls(layer, Matrix(layer.scale), Matrix(layer.shift), torch.zeros_like(layer.bias))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Ŵ and b̂."""
        return self.layer.styled(self.scale(), self.shift()), self.layer.bias + self.bias


class Style(nn.Module):
    """A style of each modulated layer of a base; its parameters and its state are the style's alone."""

    def __init__(self, modulations: dict[str, Modulation]) -> None:
        super().__init__()
        # Modules' names hold no dots.
        self.layers = nn.ModuleDict({name.replace(".", "-"): m for name, m in modulations.items()})

    def modulation(self, name: str) -> Modulation:
        layer = self.layers[name.replace(".", "-")]
        assert isinstance(layer, Modulation)
        return layer

    def body(self, base: FrozenBase, x: Tensor) -> Tensor:
        """What the base's body makes of x in this style."""
        return functional_call(base.body, self.body_weights(base), (x,))

    def body_weights(self, base: FrozenBase) -> State:
        """The modulated weights and biases in the base's body, by name."""
        styled: State = {}
        for name in base.layers:
            if name != FC:
                styled[f"{name}.weight"], styled[f"{name}.bias"] = self.modulation(name)()
        return styled

    def penalty(self) -> Tensor | None:
        """Of all its low-rank matrices, a scalar; None without any."""
        low_rank = [module for module in self.modules() if isinstance(module, LowRankMatrix)]
        return torch.stack([matrix.penalty() for matrix in low_rank]).sum() if low_rank else None


class StyledGenerator(Style):
    """f(z, y): noise (n, latent) and labels (n,) to images (n, C, H, W), by a frozen base in a style.
    classes: (classes, flat), what each class adds to δ of the linear layer."""

    def __init__(self, base: FrozenGenerator, modulations: dict[str, Modulation], classes: Tensor) -> None:
        super().__init__(modulations)
        self.base = base
        self.classes = nn.Parameter(classes.clone())

    def _linear(self) -> tuple[Tensor, Tensor]:
        """Weight (flat, latent) and bias (flat,) of the linear layer, with the label input in the bias."""
        weight, bias = self.modulation(FC)()
        latent = self.base.latent
        return weight[:, :latent], bias + weight[:, latent:] @ self.base.label

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        weight, bias = self._linear()
        return self.body(self.base, functional.linear(z, weight, bias) + self.classes[y])

    @torch.no_grad()
    def folded(self) -> GeneratorNetwork:
        """The same function as a plain network with one-hot labels."""
        weight, bias = self._linear()
        n = len(self.classes)
        with torch.random.fork_rng(devices=[]):  # for weights that are given no random numbers are used up
            net = GeneratorNetwork(self.base.geometry, self.base.latent, n, n)
        weights = {
            "label.weight": torch.eye(n, device=bias.device),
            "fc.weight": torch.cat([weight, self.classes.T], 1),
            "fc.bias": bias,
            **prefixed("body", dict(self.base.body.state_dict()) | self.body_weights(self.base)),
        }
        net.load_state_dict(weights, assign=True)
        return net.eval().requires_grad_(False)


class StyledDiscriminator(Style):
    """f(x, y): images (n, C, H, W) and labels (n,) to logits (n,), by a frozen base in a neutral style at
    first, with a last layer of its own."""

    def __init__(self, base: FrozenBase, classes: int) -> None:
        super().__init__({name: Modulation.neutral(layer) for name, layer in base.layers.items()})
        self.base = base
        self.fc = nn.Linear(base.body.geometry.flat, classes)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fc(self.body(self.base, x)).gather(1, y[:, None]).squeeze(1)


class StyleBank:
    """One style per finished task, over one base; never changed afterwards.

    compressed: whether wide layers' matrices are stored by columns. mass: share of the singular values kept
    of each convolution's matrices; None for the published shares, of wide ones only.
    """

    def __init__(self, base: FrozenGenerator, compressed: bool = False, mass: float | None = None) -> None:
        self.base, self.compressed, self.mass = base, compressed, mass
        self.stored: list[State] = []

    def __len__(self) -> int:
        return len(self.stored)

    def kept_mass(self, name: str) -> float | None:
        """Share of singular values kept of a layer's matrices; None where they are stored whole."""
        if not self.compressed or name == FC:
            return None
        if self.mass is not None:
            return self.mass
        return next((share for outputs, share in MASS if len(self.base.layers[name].bias) >= outputs), None)

    def first(self, classes: int) -> StyledGenerator:
        """What the next task trains, for so many classes: the base itself, or, compressed, what the previous
        task's style makes of it."""
        modulations = {}
        for name, layer in self.base.layers.items():
            if not self.compressed:
                modulations[name] = Modulation.neutral(layer)
                continue
            parts = {"scale": layer.scale, "shift": layer.shift}
            matrices = {part: self._begin(name, part, value) for part, value in parts.items()}
            bias = self.stored[-1][f"{name}.bias"] if self.stored else torch.zeros_like(layer.bias)
            modulations[name] = Modulation(layer, matrices["scale"], matrices["shift"], bias)
        bias = self.base.layers[FC].bias
        return StyledGenerator(self.base, modulations, torch.zeros(classes, len(bias), device=bias.device))

    def _begin(self, name: str, part: str, base: Tensor) -> nn.Module:
        """What a compressed task trains for one matrix."""
        if self.kept_mass(name) is None:
            return Matrix(self.stored[-1][f"{name}.{part}"] if self.stored else base)
        if self.stored:
            return LowRankMatrix(self.columns(f"{name}.{part}", len(self) - 1), torch.zeros_like(base))
        none = Columns(base.new_empty(len(base), 0), base.new_empty(base.shape[1], 0), base.new_empty(0))
        return LowRankMatrix(none, base)

    def keep(self, style: StyledGenerator) -> None:
        """Store the next task's style."""
        stored: State = {"classes": style.classes.detach().clone()}
        for name in self.base.layers:
            modulation = style.modulation(name)
            stored[f"{name}.bias"] = modulation.bias.detach().clone()
            for part, matrix in (("scale", modulation.scale), ("shift", modulation.shift)):
                mass = self.kept_mass(name)
                if isinstance(matrix, LowRankMatrix) and mass is not None:
                    new = matrix.truncated(mass)
                    columns = {"left": new.left, "right": new.right, "coefficients": new.coefficients}
                    stored |= prefixed(f"{name}.{part}", columns)
                else:
                    stored[f"{name}.{part}"] = matrix().detach().clone()
        self.stored.append(stored)

    def columns(self, name: str, task: int) -> Columns:
        """Of a compressed matrix, as task `task` uses them."""
        sides = [
            torch.cat([stored[f"{name}.{side}"] for stored in self.stored[: task + 1]], 1)
            for side in ("left", "right")
        ]
        return Columns(sides[0], sides[1], self.stored[task][f"{name}.coefficients"])

    def folded(self, task: int) -> GeneratorNetwork:
        """Task `task`'s generator as a plain network with one-hot labels."""
        stored = self.stored[task]

        def matrix(name: str) -> Matrix:
            return Matrix(stored[name] if name in stored else self.columns(name, task).matrix())

        modulations = {
            name: Modulation(layer, matrix(f"{name}.scale"), matrix(f"{name}.shift"), stored[f"{name}.bias"])
            for name, layer in self.base.layers.items()
        }
        return StyledGenerator(self.base, modulations, stored["classes"]).folded()

    def size(self, task: int) -> int:
        """Numbers stored for task `task`."""
        return sum(value.numel() for value in self.stored[task].values())

    def state_dict(self) -> State:
        state: State = {}
        for task, stored in enumerate(self.stored):
            state |= prefixed(str(task), stored)
        return state

    def load_state_dict(self, state: State) -> None:
        device = self.base.label.device
        tasks = {int(name.partition(".")[0]) for name in state}
        self.stored = [
            {name: value.to(device) for name, value in under(str(task), state).items()}
            for task in range(len(tasks))
        ]
