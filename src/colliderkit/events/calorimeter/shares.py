"""A shower as what a generator learns: the energies of its layers, and those of its voxels."""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.calorimeter.geometry import Geometry

__all__ = ["IncidentShares", "LayerShares", "Shares"]

DELTA = 1e-6
# Of x: where empty voxels lie, how wide, where they end, and where the lowest of the others is.
EMPTY, BLUR, CUT, LOWEST = -4.5, 0.15, -3.7, -3.0
# The same of ln(E / threshold) of a layer.
NO_ENERGY, BELOW, NONE = -3.0, 0.4, -1.5
FAINT = 1e-2  # of the threshold: the least energy of a layer that a condition tells apart
FEWEST = 20  # hits of a ring, for a mean and a width of its own


class Shares(nn.Module):
    """Turn the energies of voxels (N, V) [MeV], relative to some energy, into numbers x, and back.

        x_v = (ln(e_v / E) - m_v) / s_v,

    m and s mean and width of the voxel's ring, by `fit`. Voxels below the `threshold` [MeV] are
    zero: on the way in they get x normal around -4.5, sigma 0.15, and the others at least -3, so
    that a generator that blurs does not mix them up; on the way back those below -3.7 are zero.
    """

    places: Tensor
    rings: Tensor
    mean: Tensor
    width: Tensor

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.layers = len(geometry.layers)
        _, ring = np.unique(np.stack([geometry.layer, geometry.ring]), axis=1, return_inverse=True)
        self.register_buffer("places", torch.from_numpy(geometry.layer.copy()), persistent=False)
        self.register_buffer("rings", torch.from_numpy(ring.reshape(-1)), persistent=False)
        self.register_buffer("mean", torch.zeros(geometry.voxels))
        self.register_buffer("width", torch.ones(geometry.voxels))

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        """Return the energy E (N, V) or (N, 1) that voxels e (N, V) are relative to."""
        raise NotImplementedError

    def fit(self, showers: Tensor, incident: Tensor) -> Self:
        """Take mean and width of ln(e / E) of each ring from the voxels (N, V) that are hit."""
        e = self._seen(showers)
        share = torch.where(e > 0, (e / self.unit(e, incident.double())).log(), 0.0)
        count, first, second = (
            e.new_zeros(int(self.rings.max()) + 1).index_add(0, self.rings, column)
            for column in ((e > 0).double().sum(0), share.sum(0), share.square().sum(0))
        )
        mean = first / count.clamp(min=1)
        width = (second / count.clamp(min=1) - mean**2).clamp(min=0).sqrt()
        # A ring that is hardly ever hit is taken to be faint.
        mean = torch.where(count >= FEWEST, mean, -7.0)
        width = torch.where((count >= FEWEST) & (width > 1e-3), width, 1.0)
        self.mean.copy_(mean[self.rings])
        self.width.copy_(width[self.rings])
        return self

    def _seen(self, showers: Tensor) -> Tensor:
        """Return energies in float64, zero below the threshold."""
        e = showers.double()
        return torch.where(e >= self.threshold, e, 0.0)

    def _variables(self, e: Tensor, incident: Tensor, random: torch.Generator | None) -> Tensor:
        """Return x (N, V) of energies e (N, V), zero below the threshold."""
        x = ((e / self.unit(e, incident)).log() - self.mean) / self.width
        empty = EMPTY + BLUR * torch.randn(e.shape, generator=random)
        return torch.where(e > 0, x.clamp(min=LOWEST), empty)

    def _shares(self, x: Tensor) -> Tensor:
        """Return e / E (N, V) of x (N, V), as if all were hit."""
        return (x.clamp(min=LOWEST) * self.width + self.mean).clamp(max=0).exp()

    def _sums(self, e: Tensor) -> Tensor:
        """Sum voxels (N, V) by layer, (N, L)."""
        sums = e.new_zeros(e.shape[0], self.layers)
        return sums.index_add(1, self.places, e)


class IncidentShares(Shares):
    """Turn showers (N, V) [MeV] into voxel variables alone, relative to the incident energy.

    Nothing holds the energy of a shower together then: it is what the voxels happen to sum to.
    """

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        return incident[:, None]

    def forward(
        self, showers: Tensor, incident: Tensor, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return no layer variables (N, 0) and voxel variables (N, V)."""
        e = self._seen(showers)
        x = self._variables(e, incident.double(), random)
        return x.new_zeros(len(x), 0).float(), x.float()

    def conditions(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return what the voxels depend on, (N, 1): ln E_inc [GeV]."""
        return (incident / 1e3).log()[:, None]

    def showers(self, a: Tensor, x: Tensor, incident: Tensor) -> Tensor:
        """Return showers (N, V) [MeV] of voxel variables and E_inc (N,)."""
        e = self._shares(x) * incident[:, None]
        return torch.where((x >= CUT) & (e >= self.threshold), e, 0.0)


class LayerShares(Shares):
    """Turn showers (N, V) [MeV] into layer variables (N, L) and voxel variables (N, V), and back.

    With E_i the energy of layer i of L,

        a_0 = ln(sum_i E_i / E_inc),   a_i = logit(E_{i-1} / (E_{i-1} + ... + E_{L-1})),

    and voxels relative to the energy of their layer; back, they have that energy as their sum,
    exactly, whatever x is, and the largest of a layer with energy is never zero. Layers without
    energy are treated as voxels are, apart from all that have some. After 2106.05285 and
    2405.09629, which use logits of shares.
    """

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        return self._sums(e)[:, self.places]

    def forward(
        self, showers: Tensor, incident: Tensor, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return layer variables (N, L) and voxel variables (N, V) of showers and E_inc (N,)."""
        e = self._seen(showers)
        x = self._variables(e, incident, random)
        energy = self._sums(e)
        none = NO_ENERGY + BELOW * torch.randn(energy.shape, generator=random).double()
        energy = torch.where(energy > 0, energy, self.threshold * none.exp())
        rest = energy.flip(1).cumsum(1).flip(1)
        share = energy[:, :-1] / rest[:, :-1]
        first = (rest[:, :1] / incident.double()[:, None]).log()
        a = torch.cat([first, torch.logit(DELTA + (1 - 2 * DELTA) * share)], 1)
        return a.float(), x.float()

    def layer_energies(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return E (N, L) [MeV] of layer variables (N, L) and E_inc (N,)."""
        rest = a[:, 0].exp() * incident
        share = ((torch.sigmoid(a[:, 1:]) - DELTA) / (1 - 2 * DELTA)).clamp(0, 1)
        energies = []
        for i in range(self.layers - 1):
            energies.append(rest * share[:, i])
            rest = rest * (1 - share[:, i])
        return torch.stack([*energies, rest], 1)

    def conditions(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return what the voxels depend on, (N, 1 + 2 L): ln E_inc [GeV], a and ln E_i [MeV]."""
        energy = self.layer_energies(a, incident).clamp(min=FAINT * self.threshold)
        return torch.cat([(incident / 1e3).log()[:, None], a, energy.log()], 1)

    def showers(self, a: Tensor, x: Tensor, incident: Tensor) -> Tensor:
        """Return showers (N, V) [MeV] of both kinds of variables and E_inc (N,)."""
        energy = self.layer_energies(a, incident)
        full = energy >= self.threshold * math.exp(NONE)
        energy = torch.where(full, energy.clamp(min=self.threshold), 0.0)
        places = self.places.expand_as(x)
        highest = x.new_zeros(energy.shape).scatter_reduce(
            1, places, x, "amax", include_self=False
        )[:, self.places]
        largest = x == highest
        share = torch.where((x >= CUT) | largest, self._shares(x), 0.0)
        e = share / self._sums(share)[:, self.places] * energy[:, self.places]
        # Some fall below the threshold now; theirs goes to the others.
        e = torch.where((e >= self.threshold) | largest, e, 0.0)
        kept = self._sums(e)[:, self.places]
        return torch.where(kept > 0, e * energy[:, self.places] / kept.clamp(min=1e-30), 0.0)
