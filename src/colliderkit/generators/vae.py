"""Variational autoencoder (VAE): latent-variable density trained on the ELBO (1312.6114)."""

import math

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.generators.generator import Generator
from colliderkit.networks.conditional import ConditionalMLP

__all__ = ["VAE"]


class VAE(Generator):
    """Latent-variable density p(x | c) = int N(x; mu(z, c), s^2) N(z; 0, 1) dz by the ELBO.

    x has F features, c C conditions and z Z latent numbers.

    With q(z | x, c) = N(z; m, v), m and v by a second network, it minimises the negative of

        ELBO = < ln N(x; mu(z, c), s^2) >_q - beta KL(q | N(0, 1)),

    which for beta = 1 is at most ln p(x | c), and equal to it where q is the true posterior;
    beta > 1 gives the latent numbers a meaning each, beta < 1 sharper samples (beta-VAE). The
    widths s (F,) are learned, one a feature. A sample is mu(z, c) + s e, e normal: z and e are
    the noise.

    Args:
        features, context: F and C.
        latent: Z.
        beta: the weight of the divergence.
        encoder: (x (B, F), c (B, C)) -> (B, 2 Z), m and ln v; a perceptron if not given.
        decoder: (z (B, Z), c (B, C)) -> mu (B, F); a perceptron if not given.
        width, layers: of the perceptrons.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        latent: int = 8,
        beta: float = 1.0,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        width: int = 128,
        layers: int = 2,
    ) -> None:
        super().__init__(features, context)
        if latent < 1 or not beta >= 0:
            raise InputError(
                f"latent is {latent} and beta {beta:g}; give at least 1, and 0 or more."
            )
        self.latent, self.beta = latent, beta
        sizes = {"width": width, "layers": layers}
        self.encoder = encoder or ConditionalMLP(features, context, 2 * latent, **sizes)
        self.decoder = decoder or ConditionalMLP(latent, context, features, **sizes)
        self.log_width = nn.Parameter(torch.zeros(features))

    def _encoded(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return m and ln v (B, Z) of q(z | x, c)."""
        mean, log_variance = self.encoder(x, c).chunk(2, 1)
        return mean, log_variance

    def _log_likelihood(self, x: Tensor, z: Tensor, c: Tensor) -> Tensor:
        """Return ln p(x | z, c) (B,), x in units of the data."""
        return _log_normal(x, self.decoder(z, c), 2 * self.log_width) - self.scaling.std.log().sum()

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return -ELBO, one z a row, of rows (B, F) and (B, C), (B, 1)."""
        x, c = self.scaled(values), self.context_scaling(context)
        mean, log_variance = self._encoded(x, c)
        # The same noise for every epoch of validation, so that they can be compared.
        random = None if self.training else torch.Generator().manual_seed(len(x))
        z = mean + (0.5 * log_variance).exp() * _normal(mean, random)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return (self.beta * divergence - self._log_likelihood(x, z, c))[:, None]

    @torch.no_grad()
    def log_prob(self, x: Tensor, context: Tensor, *, draws: int = 64, seed: int = 0) -> Tensor:
        """Estimate ln p(x | c) of rows (N, F) and (N, C), (N,), by importance sampling.

            ln p(x | c) ~ ln 1/K sum_k p(x | z_k, c) N(z_k; 0, 1) / q(z_k | x, c),   z_k ~ q,

        with K = `draws` (1509.00519): too low on average, by less the more draws, and exact
        with one where q is the posterior.
        """
        x, c = self.scaled(x), self.context_scaling(context)
        mean, log_variance = self._encoded(x, c)
        random = torch.Generator().manual_seed(seed)
        terms = []
        for _ in range(draws):
            z = mean + (0.5 * log_variance).exp() * _normal(mean, random)
            prior = _log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
            posterior = _log_normal(z, mean, log_variance)
            terms.append(self._log_likelihood(x, z, c) + prior - posterior)
        return torch.logsumexp(torch.stack(terms), 0) - math.log(draws)

    @property
    def noise_size(self) -> int:
        """Z + F: the latent numbers, and a number for the width of each feature."""
        return self.latent + self.features

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Return mu(z, c) + s e of noise (B, Z + F), z and then e."""
        z, e = noise.split([self.latent, self.features], 1)
        mean = self.decoder(z, self.context_scaling(context))
        return self.unscaled(mean + self.log_width.exp() * e)


def _normal(like: Tensor, random: torch.Generator | None) -> Tensor:
    """Draw normal numbers of a shape; on the CPU where a seed must give the same everywhere."""
    if random is None:
        return torch.randn_like(like)
    return torch.randn(like.shape, generator=random).to(like)


def _log_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ln N(x; mean, exp(log_variance)) summed over the features, (B,)."""
    square = (x - mean) ** 2 * (-log_variance).exp()
    return -0.5 * (square + log_variance + math.log(2 * math.pi)).sum(1)
