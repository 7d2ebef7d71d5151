"""Autoencoders of tables, maps, jet images and jets as sets, for anomaly scores.

A coder says what of an event is reproduced, by which encoder and decoder, how far off the result
is, and what an anomalous counterpart of an event is. `networks.autoencoding.Autoencoding` trains
any of them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.images import JetImage
from colliderkit.events.scaling import Standardise
from colliderkit.events.schema import FOURVECTOR
from colliderkit.events.sequences import ParticleSequence
from colliderkit.events.sets import RELATIVE_FEATURES
from colliderkit.networks.deep_sets import PFN
from colliderkit.networks.fixed_point import WIDE, Quantiser
from colliderkit.networks.mlp import MLP

__all__ = [
    "Coder",
    "ImageCoder",
    "MapCoder",
    "SetCoder",
    "TableCoder",
]

Parts = tuple[Tensor, ...]
TINY = 1e-8


class Coder(nn.Module, ABC):
    """Base of coders: an encoder to K numbers, a decoder of Z numbers, and a distance.

    `parts` are what is reproduced, as `represent` makes it of raw columns; `numbers` is how many
    numbers that is, which weighs the error of a variational autoencoder against its divergence.
    `shape` is that of the one tensor that parts are, and () where they are more.
    """

    numbers: int
    shape: tuple[int, ...] = ()

    def fit(self, values: Tensor) -> None:
        """Take scales from the training events, where there are any to take."""

    @abstractmethod
    def represent(self, values: Tensor, mask: Tensor | None) -> Parts:
        """Return what is reproduced of raw columns (B, ...) and their mask."""

    @abstractmethod
    def encode(self, parts: Parts) -> Tensor:
        """Return K numbers an event, (B, K)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Return an event of Z numbers each, (B, Z) -> (B, ...)."""

    @abstractmethod
    def distance(self, parts: Parts, decoded: Tensor) -> Tensor:
        """Return the error of each event, (B,)."""

    @abstractmethod
    def counterpart(self, parts: Parts, random: torch.Generator | None) -> Parts:
        """Return an anomalous event for each, without any knowledge of a signal."""

    def log_counterpart(self, parts: Parts) -> Tensor | float:
        """Return ln q (B,) of the density that counterparts are drawn from, 0 if not known."""
        return 0.0


class MapCoder(Coder):
    """Reproduce a row of many standardised numbers, the bins of a map, by two perceptrons.

    The distance is the mean squared error over the bins. A counterpart is a map in which the bins
    of a stretch are far off, by up to `FAR` of their spreads, all to the same side.

    Args:
        columns: C, the bins.
        encoded, latent: K and Z.
        hidden: widths of the encoder's layers; the decoder has them in turn.
        bits: of weights and hidden activations, to train for fixed point; what is reproduced, and
            the latent numbers, have 16.
    """

    FAR = 5.0

    def __init__(
        self,
        columns: int,
        encoded: int,
        latent: int,
        *,
        hidden: Sequence[int] = (64, 32),
        bits: int | None = None,
    ) -> None:
        super().__init__()
        self.numbers, self.shape = columns, (columns,)
        self.scaling = Standardise(columns)
        self.entry = nn.Identity() if bits is None else Quantiser(WIDE)
        self.encoder = MLP(columns, encoded, hidden=hidden, bits=bits)
        self.decoder = MLP(latent, columns, hidden=tuple(reversed(hidden)), bits=bits)

    def fit(self, values: Tensor) -> None:
        """Take mean and spread of rows (N, C)."""
        self.scaling.fit(values)

    def represent(self, values: Tensor, mask: Tensor | None) -> Parts:
        return (self.entry(self.scaling(values)),)

    def encode(self, parts: Parts) -> Tensor:
        encoded: Tensor = self.encoder(parts[0])
        return encoded

    def decode(self, z: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def distance(self, parts: Parts, decoded: Tensor) -> Tensor:
        return (parts[0] - decoded).square().mean(1)

    def counterpart(self, parts: Parts, random: torch.Generator | None) -> Parts:
        x = parts[0]
        draw = torch.rand(len(x), 3, generator=random).to(x)
        place = torch.linspace(0, 1, x.shape[1]).to(x)
        inside = (place - draw[:, :1]).abs() < 0.1 * draw[:, 1:2] + 1 / x.shape[1]
        return (x + inside * self.FAR * (2 * draw[:, 2:] - 1),)


class TableCoder(MapCoder):
    """Reproduce a row of a few standardised columns as `MapCoder` does.

    Counterparts are drawn, half each, from two normal distributions with the mean of the data: one
    with WIDER^2 times their covariance, one with WIDER^2 times their variances alone. Trained
    against these, s times the error is -ln p(x) plus a constant (noise-contrastive estimation).

    Args:
        columns: C.
        encoded, latent: K and Z.
        hidden: widths of the encoder's layers; the decoder has them in turn.
        bits: of weights and hidden activations, to train for fixed point.
    """

    WIDER = 1.5
    root: Tensor
    inverse: Tensor

    def __init__(
        self,
        columns: int,
        encoded: int,
        latent: int,
        *,
        hidden: Sequence[int] = (64, 32),
        bits: int | None = None,
    ) -> None:
        super().__init__(columns, encoded, latent, hidden=hidden, bits=bits)
        # Of the covariance of q: its Cholesky factor, and the inverse of that.
        self.register_buffer("root", torch.eye(columns))
        self.register_buffer("inverse", torch.eye(columns))

    def fit(self, values: Tensor) -> None:
        """Take mean, spread and covariance of rows (N, C)."""
        x = self.scaling.fit(values)(values).double()
        covariance = x.t() @ x / len(x) + 1e-3 * torch.eye(x.shape[1], dtype=torch.float64)
        root = self.WIDER * torch.linalg.cholesky(covariance)
        self.root.copy_(root)
        self.inverse.copy_(torch.linalg.inv(root))

    def counterpart(self, parts: Parts, random: torch.Generator | None) -> Parts:
        noise = torch.randn(parts[0].shape, generator=random).to(parts[0])
        first = torch.rand(len(noise), 1, generator=random).to(noise) < 0.5
        return (torch.where(first, noise @ self.root.to(noise).t(), self.WIDER * noise),)

    def log_counterpart(self, parts: Parts) -> Tensor:
        inverse = self.inverse.to(parts[0])
        unit, alone = parts[0] @ inverse.t(), parts[0] / self.WIDER
        first = inverse.diagonal().log().sum() - 0.5 * unit.square().sum(1)
        second = -self.numbers * math.log(self.WIDER) - 0.5 * alone.square().sum(1)
        constant = math.log(2) + 0.5 * self.numbers * math.log(2 * math.pi)
        return torch.logaddexp(first, second) - constant


class ImageCoder(Coder):
    """Reproduce a jet image by convolutions and their transposes.

    The distance is the squared error summed over pixels of a content of pt share to the `power`:
    with 1 it is decided by the hardest pixels, below 1 by soft ones too. Counterparts are the
    mean of two jets, one of them shifted, and jets with most pixels gone.

    Args:
        encoded, latent: K and Z.
        pixels, width: of `events.images.JetImage`; `pixels` is a multiple of 4.
        power: of the content of a pixel.
        channels: of the first convolution; the second has twice as many.
    """

    def __init__(
        self,
        encoded: int,
        latent: int,
        *,
        pixels: int = 40,
        width: float = 1.6,
        power: float = 1.0,
        channels: int = 16,
    ) -> None:
        super().__init__()
        if pixels % 4:
            raise InputError(
                f"option 'pixels' is {pixels}; an autoencoder of images takes a multiple of 4."
            )
        self.image = JetImage(FOURVECTOR, pixels=pixels, width=width)
        self.power, self.numbers = power, pixels**2
        side, deep = pixels // 4, 2 * channels
        self.encoder = nn.Sequential(
            nn.Conv2d(1, channels, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, deep, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(deep * side**2, 64),
            nn.ReLU(),
            nn.Linear(64, encoded),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64),
            nn.ReLU(),
            nn.Linear(64, deep * side**2),
            nn.ReLU(),
            nn.Unflatten(1, (deep, side, side)),
            nn.ConvTranspose2d(deep, channels, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
        )

    def represent(self, values: Tensor, mask: Tensor | None) -> Parts:
        (image,) = self.image(values, mask)
        return (self._content(image),)

    def _content(self, image: Tensor) -> Tensor:
        return image if self.power == 1 else torch.where(image > 0, image, TINY) ** self.power

    def encode(self, parts: Parts) -> Tensor:
        encoded: Tensor = self.encoder(parts[0])
        return encoded

    def decode(self, z: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def distance(self, parts: Parts, decoded: Tensor) -> Tensor:
        return (parts[0] - decoded).square().sum((1, 2, 3))

    def counterpart(self, parts: Parts, random: torch.Generator | None) -> Parts:
        image = parts[0] ** (1 / self.power)
        draw = torch.rand(len(image), 2, generator=random).to(image)
        shift = torch.randint(
            -image.shape[-1] // 4, image.shape[-1] // 4 + 1, (2,), generator=random
        )
        other = image.roll(1, 0).roll(shift.tolist(), (2, 3))
        kept = torch.rand(image.shape, generator=random).to(image) < draw[:, 1].view(-1, 1, 1, 1)
        thin = image * kept
        thin = thin / thin.sum((1, 2, 3), keepdim=True).clamp(min=TINY)
        merged = (draw[:, 0] < 0.5).view(-1, 1, 1, 1)
        return (self._content(torch.where(merged, (image + other) / 2, thin)),)


class SetCoder(Coder):
    """Reproduce a jet as a set of particles: a particle-flow network and a perceptron.

    The decoder gives `particles` of shares w_j at points p_j = (deta, dphi); the distance is the
    energy distance of the two flows of pt,

        2 sum_ij z_i w_j |p_i - p_j| - sum_ik z_i z_k |p_i - p_k| - sum_jl w_j w_l |p_j - p_l|,

    which no order of the particles and no collinear splitting changes, and which is 0 for equal
    flows alone. Counterparts are two jets at a distance, as one, and jets that lost particles.

    Args:
        encoded, latent: K and Z.
        particles: of the decoder.
        longest: the leading particles of a jet that are looked at.
        hidden: widths of the decoder's layers.
    """

    def __init__(
        self,
        encoded: int,
        latent: int,
        *,
        particles: int = 20,
        longest: int = 40,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.numbers, self.longest = 3 * particles, longest
        self.sequence = ParticleSequence(FOURVECTOR, RELATIVE_FEATURES, longest=longest)
        self.encoder = PFN(3, encoded, phi=(64, 64, 64), f=(64, 64))
        self.decoder = MLP(latent, 3 * particles, hidden=hidden)

    def represent(self, values: Tensor, mask: Tensor | None) -> Parts:
        assert mask is not None
        # Always as many slots, whatever the length of the batch: an exported file has one shape.
        more = self.longest
        padded = F.pad(values, (0, 0, 0, more)), F.pad(mask, (0, more))
        features, _, kept = self.sequence(*padded)
        return _shares(features[..., 0], features[..., 1:], kept)

    def encode(self, parts: Parts) -> Tensor:
        z, points, mask = parts
        encoded: Tensor = self.encoder(torch.cat([z[..., None], points], 2), points, mask)
        return encoded

    def decode(self, z: Tensor) -> Tensor:
        numbers = self.decoder(z).view(len(z), -1, 3)
        return torch.cat([numbers[..., :1].softmax(1), numbers[..., 1:]], 2)

    def distance(self, parts: Parts, decoded: Tensor) -> Tensor:
        z, points, _ = parts
        w, others = decoded[..., 0], decoded[..., 1:]
        cross = _mean_distance(z, points, w, others)
        own = _mean_distance(z, points, z, points) + _mean_distance(w, others, w, others)
        return 2 * cross - own

    def counterpart(self, parts: Parts, random: torch.Generator | None) -> Parts:
        z, points, mask = parts
        draw = torch.rand(len(z), 4, generator=random).to(z)
        half = 0.4 * (draw[:, None, 2:] - 0.5)
        shares = torch.cat([z, z.roll(1, 0)], 1)
        places = torch.cat([points + half, points.roll(1, 0) - half], 1)
        real = torch.cat([mask, mask.roll(1, 0)], 1)
        # A thin jet has its own particles, some of them, and none of its neighbour's.
        own = torch.cat([torch.ones_like(mask), torch.zeros_like(mask)], 1)
        kept = torch.rand(real.shape, generator=random).to(z) < draw[:, 1:2]
        kept[:, 0] = True  # the hardest, so that a jet is left
        merged = draw[:, :1] < 0.5
        places = torch.where(merged[..., None], places, torch.cat([points, points], 1))
        return _shares(shares, places, real & (merged | (own & kept)))


def _shares(z: Tensor, points: Tensor, mask: Tensor) -> Parts:
    """Return shares that sum to 1, points and the mask of particles; zero where there is none."""
    real = mask.to(z.dtype)
    shares = z * real
    return shares / shares.sum(1, keepdim=True).clamp(min=TINY), points * real[..., None], mask


def _mean_distance(z: Tensor, points: Tensor, w: Tensor, others: Tensor) -> Tensor:
    """Return sum_ij z_i w_j |p_i - p_j|, of (B, N), (B, N, 2), (B, M) and (B, M, 2), (B,)."""
    square = (points[:, :, None] - others[:, None]).square().sum(3)
    distance = square.clamp(min=TINY**1.5).sqrt()  # whose slope has a limit
    return (z[:, :, None] * w[:, None] * distance).sum((1, 2))
