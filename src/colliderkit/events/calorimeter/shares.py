"""A shower as what a generator learns: the energies of its layers, and those of its voxels."""

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.quantiles import Quantiles

__all__ = ["IncidentShares", "LayerShares", "Shares"]

# Of x and a: where what is empty lies, how wide, and where it ends; hit voxels are within +-3, and
# layers with energy within +-3.4, whose tails make the energy of the shower.
EMPTY, BLUR, CUT, FARTHEST = 4.5, 0.15, 3.7, 3.4
FAINT = 1e-2  # of the threshold: the least energy of a layer that a condition tells apart
LEAST = 1e-12  # of shares, where logarithms are taken
FAR = 30.0  # by which odds are put below all x


class Shares(nn.Module):
    """Turn the energies of voxels (N, V) [MeV], relative to some energy E, into x, and back.

    x are ln(e_v / E) on the normal scale of the hit voxels of a ring, with a slope in ln E (see
    `quantiles.Quantiles`), fitted by `fit`. Voxels below the `threshold` [MeV] are zero: on the
    way in they get x normal around -4.5, sigma 0.15, and the others are between -3 and 3, so that a
    generator that blurs does not mix them up; on the way back those below -3.7 are zero.
    """

    places: Tensor

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.layers = len(geometry.layers)
        _, ring = np.unique(np.stack([geometry.layer, geometry.ring]), axis=1, return_inverse=True)
        self.register_buffer("places", torch.from_numpy(geometry.layer.copy()), persistent=False)
        # A ring that is hardly ever hit is taken to be faint.
        self.voxels = Quantiles(torch.from_numpy(ring.reshape(-1)), usual=-7.0)

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        """Return the energy E (N, V) or (N, 1) that voxels e (N, V) are relative to."""
        raise NotImplementedError

    def fit(self, showers: Tensor, incident: Tensor) -> Self:
        """Take the normal scales from showers (N, V) and E_inc (N,)."""
        e = self._seen(showers)
        own = self.unit(e, incident.double()).expand_as(e).clamp(min=self.threshold).log()
        self.voxels.fit(e.clamp(min=LEAST).log() - own, own, e > 0)
        return self

    def _seen(self, showers: Tensor) -> Tensor:
        """Return energies in float64, zero below the threshold."""
        e = showers.double()
        return torch.where(e >= self.threshold, e, 0.0)

    def _variables(self, e: Tensor, incident: Tensor, random: torch.Generator | None) -> Tensor:
        """Return x (N, V) of energies e (N, V), zero below the threshold."""
        own = self.unit(e, incident).expand_as(e).clamp(min=self.threshold).log()
        x = self.voxels.normal(e.clamp(min=LEAST).log() - own, own)
        return torch.where(e > 0, x, -EMPTY + BLUR * torch.randn(e.shape, generator=random))

    def _shares(self, x: Tensor, unit: Tensor) -> Tensor:
        """Return e / E (N, V) of x (N, V), as if all were hit."""
        shares: Tensor = self.voxels(x, unit.log()).clamp(max=0.0).exp()
        return shares

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
        return torch.where((x >= -CUT) & (e >= self.threshold), e, 0.0)


class LayerShares(Shares):
    """Turn showers (N, V) [MeV] into layer variables (N, L) and voxel variables (N, V), and back.

    With E_i the energy of layer i of L, and R_i = E_i + ... + E_{L-1} what reaches it,

        a_0 = ln(R_0 / E_inc),   a_i = logit(E_{i-1} / R_{i-1}),

    each on its normal scale with a slope in ln E_inc. A layer without energy has a_i near -4.5,
    one that is the last with energy near +4.5, all others are between -3.4 and 3.4. Where nothing
    is left to share, a_i is noise. After 2106.05285 and 2405.09629, which use logits of shares.

    Voxels are relative to the energy of their layer; back, they have that energy as their sum,
    exactly, whatever x is. Where none of a layer with energy is hit by its x, one gets all: the one
    with the largest ln P(hit) + ((x + 4.5) / 0.15)^2 / 2, the odds that it is no empty voxel. The
    largest x alone would often be the noise of a voxel that is hardly ever hit, a meter away.
    """

    often: Tensor

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__(geometry, threshold)
        self.ladder = Quantiles(torch.arange(self.layers), limit=FARTHEST)
        self.register_buffer("often", torch.full((geometry.voxels,), LEAST))

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        return self._sums(e)[:, self.places]

    def fit(self, showers: Tensor, incident: Tensor) -> Self:
        """Take the normal scales from showers (N, V) and E_inc (N,)."""
        super().fit(showers, incident)
        e = self._seen(showers)
        groups = self.voxels.groups
        rings = torch.zeros(int(groups.max()) + 1).index_add(0, groups, (e > 0).float().mean(0))
        self.often.copy_((rings / groups.bincount())[groups].clamp(min=LEAST))
        logits, between, _, _ = self._logits(self._sums(e), incident.double())
        self.ladder.fit(logits, incident.double().log()[:, None].expand_as(logits), between)
        return self

    def _logits(self, energy: Tensor, incident: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ln(R_0 / E_inc) and logits (N, L) of E (N, L), and where they are in between,
        below all or above all."""
        rest = energy.flip(1).cumsum(1).flip(1)
        here, after = energy[:, :-1], rest[:, 1:]
        some = rest[:, :1] > 0
        none, last = (here == 0) & (after > 0), (here > 0) & (after == 0)
        logits = here.clamp(min=LEAST).log() - after.clamp(min=LEAST).log()
        total = (rest[:, :1].clamp(min=LEAST) / incident[:, None]).log()
        between = (here > 0) & (after > 0)
        return (
            torch.cat([total, logits], 1),
            torch.cat([some, between], 1),
            torch.cat([~some, none], 1),
            torch.cat([torch.zeros_like(some), last], 1),
        )

    def forward(
        self, showers: Tensor, incident: Tensor, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return layer variables (N, L) and voxel variables (N, V) of showers and E_inc (N,)."""
        e = self._seen(showers)
        x = self._variables(e, incident.double(), random)
        energy = self._sums(e)
        logits, between, none, last = self._logits(energy, incident.double())
        noise = torch.randn(energy.shape, generator=random).double()
        own = incident.double().log()[:, None].expand_as(logits)
        a = torch.where(between, self.ladder.normal(logits, own), noise)
        a = torch.where(none, -EMPTY + BLUR * noise, a)
        a = torch.where(last, EMPTY + BLUR * noise, a)
        return a.float(), x.float()

    def layer_energies(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return E (N, L) [MeV] of layer variables (N, L) and E_inc (N,): 0 or the threshold."""
        own = incident.log()[:, None].expand_as(a)
        logits = self.ladder(a, own)
        rest = torch.where(a[:, 0] < -CUT, 0.0, logits[:, 0].exp() * incident)
        share = torch.sigmoid(logits)
        share = torch.where(a < -CUT, 0.0, torch.where(a > CUT, 1.0, share))
        energies = []
        for i in range(1, self.layers):
            energies.append(rest * share[:, i])
            rest = rest * (1 - share[:, i])
        energy = torch.stack([*energies, rest], 1)
        return torch.where(energy > 0, energy.clamp(min=self.threshold), 0.0)

    def conditions(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return what the voxels depend on, (N, 1 + 2 L): ln E_inc [GeV], a and ln E_i [MeV]."""
        energy = self.layer_energies(a, incident).clamp(min=FAINT * self.threshold)
        return torch.cat([(incident / 1e3).log()[:, None], a, energy.log()], 1)

    def showers(self, a: Tensor, x: Tensor, incident: Tensor) -> Tensor:
        """Return showers (N, V) [MeV] of both kinds of variables and E_inc (N,)."""
        energy = self.layer_energies(a, incident)
        places = self.places.expand_as(x)
        away = (x + EMPTY) / BLUR
        # What little is linear tells equals apart.
        odds = self.often.log() + 0.5 * away.clamp(min=0).square() + 0.1 * away
        # Hit voxels before all others; the odds are below 20.
        first = torch.where(x >= -CUT, x, odds - FAR)
        highest = x.new_zeros(energy.shape).scatter_reduce(
            1, places, first, "amax", include_self=False
        )[:, self.places]
        largest = first == highest
        own = energy.clamp(min=self.threshold)[:, self.places]
        share = torch.where((x >= -CUT) | largest, self._shares(x, own), 0.0)
        e = share / self._sums(share)[:, self.places] * energy[:, self.places]
        # Some fall below the threshold now; theirs goes to the others.
        e = torch.where((e >= self.threshold) | largest, e, 0.0)
        kept = self._sums(e)[:, self.places]
        return torch.where(kept > 0, e * energy[:, self.places] / kept.clamp(min=1e-30), 0.0)
