"""A shower as what a generator learns: the energies of its layers, and those of its voxels."""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.calorimeter.geometry import Geometry

__all__ = ["IncidentShares", "LayerShares", "Shares"]

DELTA = 1e-6
# Of x: where empty voxels lie, how wide, and where they end; the others are between -3 and 3.
EMPTY, BLUR, CUT, FLOOR = -4.5, 0.15, -3.7, -3.0
KNOTS, STEP = 31, 0.2
# The same of ln(E / threshold) of a layer.
NO_ENERGY, BELOW, NONE = -3.0, 0.4, -1.5
FAINT = 1e-2  # of the threshold: the least energy of a layer that a condition tells apart
FEWEST = 100  # hits of a ring, for quantiles of its own


class Shares(nn.Module):
    """Turn the energies of voxels (N, V) [MeV], relative to some energy E, into x, and back.

        x_v = Phi^-1(F(ln(e_v / E) - b ln E)),

    b the slope and F the distribution of what is left, of the hit voxels of a ring, by `fit`:
    what is hit is standard normal, up to what conditions do. Voxels below the `threshold` [MeV]
    are zero: on the way in they get x normal around -4.5, sigma 0.15, and the others are between
    -3 and 3, so that a generator that blurs does not mix them up; on the way back those below -3.7
    are zero.
    """

    places: Tensor
    rings: Tensor
    slope: Tensor
    quantiles: Tensor

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.layers = len(geometry.layers)
        _, ring = np.unique(np.stack([geometry.layer, geometry.ring]), axis=1, return_inverse=True)
        self.register_buffer("places", torch.from_numpy(geometry.layer.copy()), persistent=False)
        self.register_buffer("rings", torch.from_numpy(ring.reshape(-1)), persistent=False)
        count = int(ring.max()) + 1
        self.register_buffer("slope", torch.zeros(count))
        self.register_buffer("quantiles", torch.zeros(count, KNOTS))

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        """Return the energy E (N, V) or (N, 1) that voxels e (N, V) are relative to."""
        raise NotImplementedError

    def fit(self, showers: Tensor, incident: Tensor) -> Self:
        """Take slope and quantiles of ln(e / E) of each ring from the voxels (N, V) hit."""
        e = self._seen(showers)
        unit = self.unit(e, incident.double()).expand_as(e)
        grid = (torch.arange(KNOTS, dtype=torch.float64) * STEP + FLOOR) / 2**0.5
        chances = 0.5 * (1 + torch.erf(grid))
        for ring in range(len(self.slope)):
            hit = e[:, self.rings == ring]
            own = unit[:, self.rings == ring][hit > 0].log()
            share = hit[hit > 0].log() - own
            if len(share) < FEWEST:  # hardly ever hit, so taken to be faint
                share, own = -7 + grid, torch.zeros(KNOTS, dtype=torch.float64)
            far = own - own.mean()
            slope = (far * share).mean() / far.square().mean().clamp(min=1e-12)
            self.slope[ring] = slope
            # Rising by more than float32 rounds, so that it can be inverted.
            rest = torch.from_numpy(np.quantile((share - slope * own).numpy(), chances.numpy()))
            self.quantiles[ring] = rest + 1e-4 * torch.arange(KNOTS)
        return self

    def _seen(self, showers: Tensor) -> Tensor:
        """Return energies in float64, zero below the threshold."""
        e = showers.double()
        return torch.where(e >= self.threshold, e, 0.0)

    def _variables(self, e: Tensor, incident: Tensor, random: torch.Generator | None) -> Tensor:
        """Return x (N, V) of energies e (N, V), zero below the threshold."""
        own = self.unit(e, incident).expand_as(e).log()
        rest = torch.where(e > 0, e.log() - own - self.slope[self.rings] * own, 0.0)
        table = self.quantiles[self.rings].double()
        upper = torch.searchsorted(table, rest.t().contiguous()).clamp(1, KNOTS - 1).t()
        low, high = (table.t().gather(0, index) for index in (upper - 1, upper))
        part = ((rest - low) / (high - low)).clamp(0, 1)
        empty = EMPTY + BLUR * torch.randn(e.shape, generator=random)
        return torch.where(e > 0, FLOOR + STEP * (upper - 1 + part), empty)

    def _shares(self, x: Tensor, unit: Tensor) -> Tensor:
        """Return e / E (N, V) of x (N, V), as if all were hit."""
        place = ((x - FLOOR) / STEP).clamp(0.0, KNOTS - 1 - 1e-4)
        lower = place.floor().long()
        first = self.rings * KNOTS + lower
        flat = self.quantiles.flatten()
        low, high = flat[first], flat[first + 1]
        rest = low + (place - lower) * (high - low)
        return (rest + self.slope[self.rings] * unit.log()).clamp(max=0.0).exp()

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
        e = self._shares(x, incident[:, None]) * incident[:, None]
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
        own = energy.clamp(min=self.threshold)[:, self.places]
        share = torch.where((x >= CUT) | largest, self._shares(x, own), 0.0)
        e = share / self._sums(share)[:, self.places] * energy[:, self.places]
        # Some fall below the threshold now; theirs goes to the others.
        e = torch.where((e >= self.threshold) | largest, e, 0.0)
        kept = self._sums(e)[:, self.places]
        return torch.where(kept > 0, e * energy[:, self.places] / kept.clamp(min=1e-30), 0.0)
