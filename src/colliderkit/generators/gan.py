"""Generative adversarial networks (GAN, WGAN-GP): a generator against a discriminator.

They are trained by `training.adversarial`, which takes what is here by its interface: the two
networks, `discriminator_loss` and ``forward``, the generator's own loss.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from colliderkit.errors import InputError
from colliderkit.generators.generator import Generator
from colliderkit.networks.conditional import ConditionalMLP

__all__ = ["GAN", "WGANGP", "gradient_penalty"]


class GAN(Generator):
    """GAN for p(x | c), x (F,) and c (C,): a map G of noise against a discriminator D.

    With D a logit and s its sigmoid, D raises and G lowers, in its non-saturating form
    (1406.2661),

        < ln s(D(x, c)) > + < ln(1 - s(D(G(z, c), c))) >,     G:  < -ln s(D(G(z, c), c)) >.

    The best D is ln p(x | c) / p_G(x | c). With `regression` r > 0 the discriminator also gives
    an estimate e(x) of the condition, and r < |e(x) - c| > is added to both losses: the one learns
    to read the condition off the data, the other to make x in which it is read (CaloGAN's energy,
    1712.10321).

    Args:
        features, context: F and C.
        noise: Z, the normal numbers of a sample.
        network: (z (B, Z), c (B, C)) -> (B, F); a perceptron if not given.
        discriminator: (x (B, F), c (B, C)) -> (B, 1), or (B, 1 + C) with `regression`; a
            perceptron if not given.
        regression: the weight r, 0 for none.
        unit: both networks see x and c divided by this number, where zero must stay zero;
            standardised if not given.
        width, layers: of the perceptrons.
    """

    adversarial: ClassVar[bool] = True

    def __init__(
        self,
        features: int,
        context: int,
        *,
        noise: int = 16,
        network: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        regression: float = 0.0,
        unit: float | None = None,
        width: int = 128,
        layers: int = 3,
    ) -> None:
        super().__init__(features, context)
        if noise < 1 or not regression >= 0:
            raise InputError(
                f"noise is {noise} and regression {regression:g}; give 1 or more, 0 or more."
            )
        if unit is not None and not unit > 0:
            raise InputError(f"unit is {unit:g}; it must be positive.")
        self.noise, self.regression, self.unit = noise, regression, unit
        sizes = {"width": width, "layers": layers}
        outputs = 1 + (context if regression > 0 else 0)
        self.network = network or ConditionalMLP(noise, context, features, **sizes)
        self.discriminator = discriminator or ConditionalMLP(features, context, outputs, **sizes)

    def fit_scaling(self, x: Tensor, context: Tensor) -> Self:
        """Take mean and standard deviation of x (N, F) and c (N, C), or the `unit`."""
        if self.unit is None:
            return super().fit_scaling(x, context)
        for scaling in (self.scaling, self.context_scaling):
            scaling.mean.zero_()
            scaling.std.fill_(self.unit)
        return self

    def conditions(self, context: Tensor) -> Tensor:
        """Return c (B, C) as the networks see it."""
        # What is not standardised has no limit in standard deviations either.
        return self.context_scaling(context) if self.unit is None else (context / self.unit).float()

    @property
    def noise_size(self) -> int:
        """Z, the normal numbers that one x is made of."""
        return self.noise

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Return G(z, c) of noise (B, Z) and conditions (B, C)."""
        return self.unscaled(self.network(noise, self.conditions(context)))

    def discriminator_loss(self, values: Tensor, context: Tensor) -> Tensor:
        """Return what D lowers: of each row (B, F), and one made for its condition, (B, 1)."""
        x, c = self.scaled(values), self.conditions(context)
        with torch.no_grad():
            made = self.network(self._noise(c), c)
        loss = self._judged(x, made, c)
        if self.regression > 0:
            loss = loss + self.regression * self._misread(self.discriminator(x, c), c)
        return loss

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return what G lowers for conditions (B, C), (B, 1); values do not enter."""
        c = self.conditions(context)
        scores = self.discriminator(self.network(self._noise(c), c), c)
        loss = self._fooled(scores[:, :1])
        if self.regression > 0:
            loss = loss + self.regression * self._misread(scores, c)
        return loss

    def _judged(self, x: Tensor, made: Tensor, c: Tensor) -> Tensor:
        """Return D's loss of data and generated rows in units of the networks, (B, 1)."""
        true, false = self.discriminator(x, c)[:, :1], self.discriminator(made, c)[:, :1]
        return softplus(-true) + softplus(false)

    def _fooled(self, score: Tensor) -> Tensor:
        """Return G's loss of the scores (B, 1) of generated rows."""
        return softplus(-score)

    def _misread(self, scores: Tensor, c: Tensor) -> Tensor:
        """Return the mean |e(x) - c| over the conditions, (B, 1)."""
        return (scores[:, 1:] - c).abs().mean(1, keepdim=True)

    def _noise(self, c: Tensor) -> Tensor:
        if self.training:
            return torch.randn(len(c), self.noise, device=c.device)
        # The same noise for every epoch, so that they can be compared.
        random = torch.Generator().manual_seed(len(c))
        return torch.randn(len(c), self.noise, generator=random).to(c.device)


class WGANGP(GAN):
    """Wasserstein GAN with gradient penalty (WGAN-GP) for p(x | c) (1704.00028).

    The critic D raises, and G lowers, the difference of its means,

        < D(x, c) > - < D(G(z, c), c) > - penalty < (|dD/dx| - 1)^2 >,

    the last over points u x + (1 - u) G(z, c), u uniform: with slopes of at most 1 the largest
    difference is the Wasserstein distance of data and samples. Critics must judge each row alone:
    no batch normalisation. Keywords as `GAN`, and

    Args:
        penalty: the weight of the gradient penalty.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        penalty: float = 10.0,
        noise: int = 16,
        network: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        regression: float = 0.0,
        unit: float | None = None,
        width: int = 128,
        layers: int = 3,
    ) -> None:
        super().__init__(
            features,
            context,
            noise=noise,
            network=network,
            discriminator=discriminator,
            regression=regression,
            unit=unit,
            width=width,
            layers=layers,
        )
        if not penalty >= 0:
            raise InputError(f"penalty is {penalty:g}; it must be 0 or more.")
        self.penalty = penalty

    def _judged(self, x: Tensor, made: Tensor, c: Tensor) -> Tensor:
        true, false = self.discriminator(x, c)[:, :1], self.discriminator(made, c)[:, :1]
        loss: Tensor = false - true
        if torch.is_grad_enabled():
            between = torch.rand(len(x), 1, device=x.device)
            points = between * x + (1 - between) * made
            loss = loss + self.penalty * gradient_penalty(self.discriminator, points, c)
        return loss

    def _fooled(self, score: Tensor) -> Tensor:
        return -score


def gradient_penalty(critic: nn.Module, x: Tensor, c: Tensor) -> Tensor:
    """Return (|dD/dx| - 1)^2 of a critic at points (B, F) with conditions (B, C), (B, 1)."""
    x = x.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(x, c)[:, 0].sum(), x, create_graph=True)
    # A slope of exactly zero has no derivative of its own.
    return ((slope.square().sum(1, keepdim=True) + 1e-12).sqrt() - 1).square()
