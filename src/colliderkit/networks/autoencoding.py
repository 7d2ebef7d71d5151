"""How an autoencoder is trained, whatever it reproduces, and what its score is."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colliderkit.networks.autoencoders import TINY, Coder, Parts
from colliderkit.networks.langevin import langevin

__all__ = ["Autoencoding", "Reproducing"]

CHAINS = 512  # that a normalised autoencoder carries from batch to batch
OFTEN, RESTARTED = 0.2, 0.25  # in this share of batches this share of their chains begins anew
LATENT_STEPS, STEPS = 20, 5  # of a chain that begins, and of every chain in a batch
LENGTH = 0.2  # of the first step, in spreads and in latent numbers
BOUND = 10.0  # spreads, where columns are clipped
CALM = 0.01  # the weight of squared energies in the loss


class Autoencoding(nn.Module):
    """Train a coder: ``forward`` is its loss event by event, for `losses.rows.own_loss`.

    With E the distance of an event x from what is decoded of it:

    - "plain": the loss is E;
    - "variational" (1312.6114): n/2 (ln <E> + E/<E>) + beta KL(q | prior), with q(y | x) normal,
      n the coder's `numbers` and <E> the batch's mean, which is the best width of p(x | z). The
      prior of y is standard "normal" and z = y; or z = softmax(y) has about a "dirichlet"
      distribution with all parameters 1, by the normal y that is closest to it (1703.01488); or
      the prior is a "mixture" of normal classes, p(y) = sum_k pi_k N(y; m_k, 1), pi learned and m_k
      on a circle four widths across, with z = y and ln q(y | x) - ln p(y), of the y that is drawn,
      for the divergence (2104.08291; places that are learned too fall together). The posterior of
      a class is pi_k N(y; m_k, 1) / p(y) at the mean of q;
    - "contrastive": cross-entropy of events against their counterparts, with the logit
      b - s E - ln q, s and b learned (AnomalyCLR, 2301.04660, has anomalous augmentations; for
      a known q it is noise-contrastive estimation and -ln p = s E - b);
    - "normalised" (2105.05735, of jets 2206.14225): s E is the energy of a density p(x) =
      exp(-s E) / Omega on the box of |x| <= 10 spreads, and 1/s the temperature, which is learned
      too. It begins as a plain one (`settle`). Then the loss is s E(x) - s E(x'), whose slope is
      that of -ln p(x), with x' drawn from p by Markov chains (`networks.langevin`), and a little
      of the squares of both energies, without which they wander. Chains are carried from batch to
      batch; one that begins does so on the manifold, as what is decoded of z after steps in the
      energy of that. The latent numbers are z = tanh(y): what is decoded is bounded then, and all
      of the manifold can be visited. A validation asks whether samples are like events:
      2 <|x - x'|> - <|x - x|> - <|x' - x'|>, the energy distance, 0 for equal densities alone.

    The score of an event is E; s E - b of the contrastive and s E of the normalised kind. The
    "radius" in its place is the squared distance of the mean of q from that of the prior, in units
    of the prior's width, which needs no decoder.
    """

    width: Tensor
    scale: Tensor
    places: Tensor
    chains: Tensor
    lengths: Tensor

    def __init__(
        self,
        coder: Coder,
        latent: int,
        *,
        kind: Literal["plain", "variational", "contrastive", "normalised"],
        prior: Literal["normal", "dirichlet", "mixture"],
        beta: float,
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.coder = coder
        self.kind, self.prior, self.beta, self.latent_size = kind, prior, beta, latent
        self.plain = kind == "plain"  # whether the loss is E alone; a normalised one begins so
        # Mean (of equal parameters) and variance of Laplace's approximation of a Dirichlet prior.
        variance = 1 - 1 / latent if prior == "dirichlet" else 1.0
        self.register_buffer("width", torch.tensor(variance**0.5), persistent=False)
        if prior == "mixture":
            self.register_buffer("places", _apart_on_a_circle(classes, latent), persistent=False)
            self.log_shares = nn.Parameter(torch.zeros(classes))
        if kind in ("contrastive", "normalised"):
            # ln s, and b of contrast, where both are in tens: what has to move far moves fast.
            self.scale = nn.Parameter(torch.zeros(2 if kind == "contrastive" else 1))
        if kind == "normalised":
            # A chain of no numbers has yet to begin.
            self.register_buffer("chains", torch.full((CHAINS, *coder.shape), torch.nan))
            self.register_buffer("lengths", torch.full((2,), LENGTH))

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of raw columns (B, ...), (B, 1)."""
        parts = self.coder.represent(values, mask)
        # The same noise for every epoch of validation, so that they can be compared.
        random = None if self.training else torch.Generator().manual_seed(len(values))
        if self.kind == "variational":
            return self._variational(parts, random)[:, None]
        if self.plain:
            return self._error(parts)[:, None]
        if self.kind == "normalised":
            return self._normalised(parts[0])[:, None]
        other = self.coder.counterpart(parts, random)
        signs = ((parts, 1.0), (other, -1.0))
        terms = [F.softplus(-sign * self._logit(each)) for each, sign in signs]
        return (terms[0] + terms[1])[:, None]

    def score(self, values: Tensor, mask: Tensor | None = None, *, radius: bool = False) -> Tensor:
        """Return how anomalous events are, (B,)."""
        parts = self.coder.represent(values, mask)
        if radius:
            mean = self._mean(parts) / self.width
            return mean.square().sum(1)
        error = self._error(parts)
        return self._energy(error) if self.kind in ("contrastive", "normalised") else error

    def differences(self, values: Tensor) -> Tensor:
        """Return what of each number of a table or map is not reproduced, in spreads, (B, C)."""
        parts = self.coder.represent(values, None)
        return parts[0] - self.coder.decode(self._placed(self._mean(parts)))

    def answer(self, values: Tensor, *, radius: bool = False) -> Tensor:
        """Return what the score of a table or map is made of: what is decoded, or the mean of q."""
        mean = self._mean(self.coder.represent(values, None))
        return mean if radius else self.coder.decode(self._placed(mean))

    def latent(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the latent numbers z of events, (B, Z), at the mean of q."""
        return self._placed(self._mean(self.coder.represent(values, mask)))

    def classes(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the posterior of each class of a mixture, (B, K), at the mean of q."""
        return self._joint(self._mean(self.coder.represent(values, mask))).softmax(1)

    def _joint(self, y: Tensor) -> Tensor:
        """Return ln pi_k N(y; m_k, 1) of latent numbers (B, Z), (B, K), up to a constant."""
        square = (y[:, None] - self.places).square().sum(2)
        return self.log_shares.log_softmax(0) - 0.5 * square

    def _mean(self, parts: Parts) -> Tensor:
        encoded = self.coder.encode(parts)
        return encoded.chunk(2, 1)[0] if self.kind == "variational" else encoded

    def _placed(self, y: Tensor) -> Tensor:
        if self.kind == "normalised":
            return y.tanh()
        return y.softmax(1) if self.kind == "variational" and self.prior == "dirichlet" else y

    def _error(self, parts: Parts) -> Tensor:
        return self.coder.distance(parts, self.coder.decode(self._placed(self._mean(parts))))

    def _logit(self, parts: Parts) -> Tensor:
        return -self._energy(self._error(parts)) - self.coder.log_counterpart(parts)

    def _energy(self, error: Tensor) -> Tensor:
        if self.kind == "normalised":
            return self.scale[0].exp() * error
        return (10 * self.scale[0]).exp() * error - 10 * self.scale[1]

    def settle(self, error: float) -> None:
        """End the plain beginning of a normalised one: take 1/s from the `error` that it reached.

        Of N numbers of which Z are free on the manifold, s <E> = (N - Z) / 2, half of 1/s each.
        """
        free = max(self.coder.numbers - self.latent_size, 1)
        self.scale.data.fill_(math.log(free / (2 * max(error, TINY))))
        self.plain = False

    def samples(self, count: int, steps: int, random: torch.Generator) -> Tensor:
        """Return parts (count, ...) drawn from p of a normalised one, `steps` after they began."""
        latent, event = self.lengths.clone()
        return self._walked(self._begun(count, latent, random), steps, event, random)

    def _begun(self, count: int, length: Tensor, random: torch.Generator | None) -> Tensor:
        """Return events on the manifold, (count, ...), after steps of their latent numbers."""
        z = 2 * torch.rand(count, self.latent_size, generator=random).to(length) - 1

        def energy(z: Tensor) -> Tensor:
            return self._energy(self._error((self.coder.decode(z),)))

        z = langevin(energy, z, LATENT_STEPS, length, random, bound=1.0)
        with torch.no_grad():
            begun: Tensor = self.coder.decode(z).clamp(-BOUND, BOUND)
        return begun

    def _walked(
        self, x: Tensor, steps: int, length: Tensor, random: torch.Generator | None
    ) -> Tensor:
        """Return events (B, ...) after steps of a chain."""

        def energy(x: Tensor) -> Tensor:
            return self._energy(self._error((x,)))

        return langevin(energy, x, steps, length, random, bound=BOUND)

    def _normalised(self, x: Tensor) -> Tensor:
        """Return the loss of events (B, ...); to validate, their distance from the chains, (B,)."""
        if not self.training:
            drawn = self.chains[~self.chains.flatten(1).isnan().any(1)]
            own = _apart(x, x) + _apart(drawn, drawn).mean()
            return 2 * _apart(x, drawn) - own
        with torch.no_grad():
            rows = torch.randperm(len(self.chains))[: len(x)].to(x.device)
            chain = self.chains[rows]
            anew = chain.flatten(1).isnan().any(1)
            if torch.rand(()) < OFTEN:
                anew = anew | (torch.rand(len(rows)) < RESTARTED).to(x.device)
            if anew.any():
                chain[anew] = self._begun(int(anew.sum()), self.lengths[0], None)
            chain = self._walked(chain, STEPS, self.lengths[1], None)
            self.chains[rows] = chain
        low, high = (self._energy(self._error((each,))) for each in (x, chain))
        return low - high.mean() + CALM * (low.square() + high.square().mean())

    def _variational(self, parts: Parts, random: torch.Generator | None) -> Tensor:
        mean, log_variance = self.coder.encode(parts).chunk(2, 1)
        noise = torch.randn(mean.shape, generator=random).to(mean)
        y = mean + (0.5 * log_variance).exp() * noise
        error = self.coder.distance(parts, self.coder.decode(self._placed(y)))
        middle = error.mean().clamp(min=TINY)
        if self.prior == "mixture":
            own = -0.5 * (noise.square() + log_variance).sum(1)
            divergence = own - self._joint(y).logsumexp(1)
        else:
            square = (mean.square() + log_variance.exp()) / self.width**2
            divergence = 0.5 * (square - 1 - log_variance + 2 * self.width.log()).sum(1)
        likelihood = 0.5 * self.coder.numbers * (middle.log() + error / middle)
        return likelihood + self.beta * divergence


class Reproducing(nn.Module):
    """Train an autoencoder of a table to give what another one gives, its `teacher`.

    ``forward`` is the mean squared difference of their answers event by event, for
    `losses.rows.own_loss`: a network of few bits then keeps the events that the other one keeps.
    """

    def __init__(self, student: Autoencoding, teacher: Autoencoding, *, radius: bool) -> None:
        super().__init__()
        self.student, self.radius = student, radius
        # In a list: it is neither trained nor saved.
        self._teacher = [teacher.eval()]

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the squared difference for raw columns (B, C), (B, 1)."""
        teacher = self._teacher[0].to(values.device)
        with torch.no_grad():
            wanted = teacher.answer(values, radius=self.radius)
        given = self.student.answer(values, radius=self.radius)
        return (given - wanted).square().mean(1, keepdim=True)


def _apart_on_a_circle(classes: int, latent: int) -> Tensor:
    """Return the places of classes (K, Z): on a circle, or on a line of one latent number."""
    if latent == 1:
        return torch.linspace(-2, 2, classes)[:, None]
    angle = 2 * math.pi * torch.arange(classes) / classes
    places = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    return F.pad(places, (0, latent - 2))


def _apart(x: Tensor, others: Tensor) -> Tensor:
    """Return the mean distance of each event (B, ...) from others (M, ...), (B,)."""
    return torch.cdist(x.flatten(1), others.flatten(1)).mean(1)
