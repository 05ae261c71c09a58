"""The network of brain-inspired replay: a classifier whose feedback connections generate what it saw.

G. M. van de Ven, H. T. Siegelmann, A. S. Tolias 2020, "Brain-inspired replay for continual learning with
artificial neural networks", Nature Communications 11:4069, Methods. With h(x) the top of the encoder, class
probabilities p of a sample (one-hot for a known label) and masks g_c in {0, 1}:

  softmax:  W h(x)                                    replay through feedback: the encoder's top classifies
  q(z | x): N(μ(x), diag σ²(x)), linear in h(x)
  prior:    Σ_c p_c N(μ_c, diag σ_c²), μ_c and σ_c learned     conditional replay; without: N(0, I)
  decoder:  ReLU((Σ_c p_c g_c) ⊙ (V a + b)) in both hidden layers     gating; the output layer has no gates
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class BrainInspiredNetwork(nn.Module):
    """inputs, classes, hidden (units of each of two layers), latent: sizes. feedback: whether encoder and
    classifier share their layers. conditional: whether each class has its mode of the prior. gated: share of
    each hidden decoder layer that is off for a class. binary: whether inputs are in [0, 1], and the decoder
    gives their logits; else it gives them as they are."""

    masks: Tensor

    def __init__(
        self,
        inputs: int,
        classes: int,
        hidden: int,
        latent: int,
        feedback: bool,
        conditional: bool,
        gated: float,
        binary: bool,
    ) -> None:
        super().__init__()
        self.classes, self.latent = classes, latent
        self.conditional, self.gated, self.binary = conditional, gated > 0, binary
        self.encoder = perceptron(inputs, hidden)
        self.solver = None if feedback else perceptron(inputs, hidden)
        self.head = nn.Linear(hidden, classes)
        self.to_z = nn.Linear(hidden, 2 * latent)
        self.from_z = nn.Linear(latent, hidden)
        self.back = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, inputs)
        # Both begin as standard normal draws, as in the authors' release.
        self.prior_mean = nn.Parameter(torch.randn(classes, latent)) if conditional else None
        self.prior_log_variance = nn.Parameter(torch.randn(classes, latent)) if conditional else None
        self.register_buffer("masks", gates(2, classes, hidden, gated))

    def classify(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of inputs (n, inputs)."""
        return self.head((self.encoder if self.solver is None else self.solver)(x))

    def forward(self, x: Tensor, p: Tensor, epsilon: Tensor) -> tuple[Tensor, ...]:
        """Inputs (n, inputs), class probabilities (n, classes), noise (n, latent) to decoder output
        (n, inputs), class logits (n, classes), mean, log variance and a sample z of q(z | x), (n, latent)."""
        top = self.encoder(x)
        logits = self.head(top if self.solver is None else self.solver(x))
        mean, log_variance = self.to_z(top).chunk(2, 1)
        z = mean + (log_variance / 2).exp() * epsilon
        return self.decode(z, p), logits, mean, log_variance, z

    def decode(self, z: Tensor, p: Tensor) -> Tensor:
        """z (n, latent), class probabilities (n, classes) to (n, inputs): logits where inputs are binary."""
        hidden = z
        for layer, masks in zip((self.from_z, self.back), self.masks, strict=True):
            hidden = layer(hidden)
            if self.gated:
                hidden = hidden * (p @ masks)
            hidden = hidden.relu()
        return self.out(hidden)

    def generate(self, y: Tensor, epsilon: Tensor) -> Tensor:
        """Inputs (n, inputs) of classes y (n,), from noise (n, latent): the decoder's means."""
        z = epsilon
        if self.prior_mean is not None and self.prior_log_variance is not None:
            z = self.prior_mean[y] + (self.prior_log_variance[y] / 2).exp() * epsilon
        out = self.decode(z, nn.functional.one_hot(y, self.classes).to(z.dtype))
        return out.sigmoid() if self.binary else out

    def reconstruction(self, out: Tensor, x: Tensor) -> Tensor:
        """Mean loss of decoder output for inputs x over their values, (n, inputs) each to (n,): binary
        cross-entropy, or half the squared error, −ln N(x; out, I) up to a constant."""
        if self.binary:
            return nn.functional.binary_cross_entropy_with_logits(out, x, reduction="none").mean(1)
        return (out - x).square().mean(1) / 2

    def divergence(self, mean: Tensor, log_variance: Tensor, z: Tensor, p: Tensor, known: bool) -> Tensor:
        """KL(q(z | x) ‖ prior), (n,): in closed form where the class is `known` (p one-hot) or the prior
        standard, else estimated from the one sample z."""
        if self.prior_mean is None or self.prior_log_variance is None:
            zero = torch.zeros((), device=z.device)
            return kl_of_gaussians(mean, log_variance, zero, zero)
        if known:
            return kl_of_gaussians(mean, log_variance, p @ self.prior_mean, p @ self.prior_log_variance)
        of_prior = log_mixture(z, p, self.prior_mean, self.prior_log_variance)
        return log_gaussian(z, mean, log_variance) - of_prior


def perceptron(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())


def gates(layers: int, classes: int, hidden: int, share: float) -> Tensor:
    """Masks (layers, classes, hidden) of 0 and 1: for each class and layer a random `share` of the units is
    off, rounded to whole units."""
    off = round(share * hidden)
    return (torch.rand(layers, classes, hidden).argsort(2) >= off).float()


def kl_of_gaussians(mean: Tensor, log_variance: Tensor, to_mean: Tensor, to_log_variance: Tensor) -> Tensor:
    """KL(N(mean, e^log_variance) ‖ N(to_mean, e^to_log_variance)) of diagonal Gaussians, (n, d) to (n,)."""
    distance = (mean - to_mean).square() + log_variance.exp()
    terms = to_log_variance - log_variance + distance / to_log_variance.exp() - 1
    return terms.sum(1) / 2


def log_gaussian(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """ln N(z; mean, e^log_variance), summed over the last dimension."""
    terms = log_variance + (z - mean).square() / log_variance.exp() + math.log(2 * math.pi)
    return -terms.sum(-1) / 2


def log_mixture(z: Tensor, p: Tensor, means: Tensor, log_variances: Tensor) -> Tensor:
    """ln Σ_c p_c N(z; means_c, e^log_variances_c): z (n, d), p (n, classes), modes (classes, d) to (n,)."""
    return (p.log() + log_gaussian(z.unsqueeze(1), means, log_variances)).logsumexp(1)


def soft_targets(logits: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature) among `classes`, zero for all others: (n, all classes) to the same."""
    targets = torch.zeros_like(logits)
    targets[:, classes] = (logits[:, classes] / temperature).softmax(1)
    return targets


def distillation(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """−T² Σ_c targets_c ln softmax(logits / T)_c, (n, classes) each to (n,). T² keeps its gradient as large
    as the cross-entropy's."""
    return -(targets * (logits / temperature).log_softmax(1)).sum(1) * temperature**2
