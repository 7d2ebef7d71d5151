"""Shower variables of generators: energies of layers and voxels, transformed to N(0, 1)."""

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.quantiles import (
    Occupancy,
    QuantileTransform,
    inverse_survival,
    survival,
)

__all__ = ["IncidentVariables", "ShowerVariables", "VoxelVariables"]

FAINT = 1e-2  # of the threshold: the least energy of a layer that a condition tells apart
LEAST = 1e-12  # of shares, where logarithms are taken
FARTHEST = 1e-7  # of probabilities, beyond which x is cut: at +-5.2


class VoxelVariables(nn.Module):
    """Transform voxel energies (N, V) [MeV], relative to some energy E, to normal x, and back.

    A voxel of ring r is hit, above the `threshold` [MeV], with probability p_r(ln E), and
    y = ln(e_v / E) of those that are has the distribution F_r(y | ln E) (`Occupancy` and
    `QuantileTransform`, fitted by `fit`). With U uniform for the others,

        x = Phi^-1(1 - p + p F(y)) if hit, else Phi^-1((1 - p) U):

    each x is standard normal, given E. How often a voxel is hit, and with what energy, needs
    no learning then; a generator learns how they hang together.
    """

    layer: Tensor

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.layers = len(geometry.layers)
        _, ring = np.unique(np.stack([geometry.layer, geometry.ring]), axis=1, return_inverse=True)
        self.register_buffer("layer", torch.from_numpy(geometry.layer.copy()), persistent=False)
        rings = torch.from_numpy(ring.reshape(-1))
        # A ring that is hardly ever hit is taken to be faint.
        self.voxels = QuantileTransform(rings, usual=-7.0)
        self.hit = Occupancy(rings)

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        """Return the energy E (N, V) or (N, 1) that voxels e (N, V) are relative to."""
        raise NotImplementedError

    def fit(self, showers: Tensor, incident: Tensor) -> Self:
        """Fit probabilities and normal scales to showers (N, V) and E_inc (N,)."""
        e = self._above_threshold(showers)
        unit = self.unit(e, incident.double()).expand_as(e)
        log_unit = unit.clamp(min=self.threshold).log()
        self.voxels.fit(e.clamp(min=LEAST).log() - log_unit, log_unit, e > 0)
        self.hit.fit(log_unit, e > 0, unit > 0)
        return self

    def _above_threshold(self, showers: Tensor) -> Tensor:
        """Return energies in float64, zero below the threshold."""
        e = showers.double()
        return torch.where(e >= self.threshold, e, 0.0)

    def _variables(self, e: Tensor, incident: Tensor, random: torch.Generator | None) -> Tensor:
        """Return x (N, V) of energies e (N, V), zero below the threshold."""
        unit = self.unit(e, incident).expand_as(e)
        log_unit = unit.clamp(min=self.threshold).log()
        # Where there is no energy at all, x is noise.
        p = torch.where(unit > 0, self.hit(log_unit).double(), 0.0)
        z = self.voxels.normal(e.clamp(min=LEAST).log() - log_unit, log_unit)
        u = torch.rand(e.shape, generator=random, dtype=e.dtype)
        above = torch.where(e > 0, p * survival(z), p + (1 - p) * u)
        return inverse_survival(above.clamp(FARTHEST, 1 - FARTHEST))

    def _hits(self, x: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Return P(x' > x) / p (N, V), below 1 where x is a hit, and e / E as if all were."""
        above = survival(x) / self.hit(unit.log())
        z = inverse_survival(above.clamp(FARTHEST, 1 - FARTHEST))
        shares: Tensor = self.voxels(z, unit.log()).clamp(max=0.0).exp()
        return above, shares

    def _sums(self, e: Tensor) -> Tensor:
        """Sum voxels (N, V) by layer, (N, L)."""
        sums = e.new_zeros(e.shape[0], self.layers)
        return sums.index_add(1, self.layer, e)


class IncidentVariables(VoxelVariables):
    """Transform showers (N, V) [MeV] to voxel variables alone, relative to the incident energy.

    Nothing holds the energy of a shower together then: it is what the voxels happen to sum to.
    """

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        return incident[:, None]

    def forward(
        self, showers: Tensor, incident: Tensor, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return no layer variables (N, 0) and voxel variables (N, V)."""
        e = self._above_threshold(showers)
        x = self._variables(e, incident.double(), random)
        return x.new_zeros(len(x), 0).float(), x.float()

    def conditions(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return what the voxels depend on, (N, 1): ln E_inc [GeV]."""
        return (incident / 1e3).log()[:, None]

    def showers(self, a: Tensor, x: Tensor, incident: Tensor) -> Tensor:
        """Return showers (N, V) [MeV] of voxel variables and E_inc (N,)."""
        above, shares = self._hits(x, incident[:, None].expand_as(x))
        e = shares * incident[:, None]
        return torch.where((above < 1) & (e >= self.threshold), e, 0.0)


class ShowerVariables(VoxelVariables):
    """Transform showers (N, V) [MeV] to layer variables (N, L) and voxel variables (N, V).

    With E_i the energy of layer i of L, and R_i = E_i + ... + E_{L-1} what reaches it,

        a_0 = ln(R_0 / E_inc),   a_i = logit(E_{i-1} / R_{i-1}),

    each turned into a standard normal number, given E_inc, as the voxels are: layers without energy
    lie below all others, and those that are the last with energy above. Where nothing is left to
    share, a_i is noise. After 2106.05285 and 2405.09629, which use logits of shares.

    Voxels are relative to the energy of their layer; back, they have that energy as their sum,
    exactly, whatever x is. Where none of a layer with energy is hit by its x, the one that is
    nearest to it gets all, with the least P(x' > x) / p.
    """

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__(geometry, threshold)
        steps = torch.arange(self.layers)
        self.ladder = QuantileTransform(steps)
        self.some, self.last = Occupancy(steps), Occupancy(steps)

    def unit(self, e: Tensor, incident: Tensor) -> Tensor:
        return self._sums(e)[:, self.layer]

    def fit(self, showers: Tensor, incident: Tensor) -> Self:
        """Fit the normal scales to showers (N, V) and E_inc (N,)."""
        super().fit(showers, incident)
        e = self._above_threshold(showers)
        logits, none, last, left = self._logits(self._sums(e), incident.double())
        log_incident = incident.double().log()[:, None].expand_as(logits)
        self.ladder.fit(logits, log_incident, left & ~none & ~last)
        self.some.fit(log_incident, ~none, left)
        self.last.fit(log_incident, last, left)
        return self

    def _logits(self, energy: Tensor, incident: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ln(R_0 / E_inc) and logits (N, L) of E (N, L), and where a share is none, where
        all of what is left, and where something is left."""
        rest = energy.flip(1).cumsum(1).flip(1)
        here, after = energy[:, :-1], rest[:, 1:]
        logits = here.clamp(min=LEAST).log() - after.clamp(min=LEAST).log()
        total = (rest[:, :1].clamp(min=LEAST) / incident[:, None]).log()
        always = torch.ones_like(rest[:, :1], dtype=torch.bool)
        return (
            torch.cat([total, logits], 1),
            torch.cat([rest[:, :1] == 0, here == 0], 1),
            torch.cat([~always, after == 0], 1),
            torch.cat([always, here + after > 0], 1),
        )

    def forward(
        self, showers: Tensor, incident: Tensor, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return layer variables (N, L) and voxel variables (N, V) of showers and E_inc (N,)."""
        e = self._above_threshold(showers)
        x = self._variables(e, incident.double(), random)
        energy = self._sums(e)
        logits, none, last, left = self._logits(energy, incident.double())
        log_incident = incident.double().log()[:, None].expand_as(logits)
        p, q = self.some(log_incident).double(), self.last(log_incident).double()
        u = torch.rand(log_incident.shape, generator=random, dtype=log_incident.dtype)
        above = q + (p - q) * survival(self.ladder.normal(logits, log_incident))
        above = torch.where(none, p + (1 - p) * u, torch.where(last, q * u, above))
        a = inverse_survival(torch.where(left, above, u).clamp(FARTHEST, 1 - FARTHEST))
        return a.float(), x.float()

    def layer_energies(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return E (N, L) [MeV] of layer variables (N, L) and E_inc (N,): 0 or the threshold."""
        log_incident = incident.log()[:, None].expand_as(a)
        p, q, above = self.some(log_incident), self.last(log_incident), survival(a)
        z = inverse_survival(
            ((above - q) / (p - q).clamp(min=FARTHEST)).clamp(FARTHEST, 1 - FARTHEST)
        )
        logits = self.ladder(z, log_incident)
        none = above > p
        rest = torch.where(none[:, 0], 0.0, logits[:, 0].exp() * incident)
        share = torch.where(none, 0.0, torch.where(above < q, 1.0, torch.sigmoid(logits)))
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
        layers = self.layer.expand_as(x)
        unit = energy.clamp(min=self.threshold)[:, self.layer]
        above, shares = self._hits(x, unit)
        least = x.new_zeros(energy.shape).scatter_reduce(
            1, layers, above, "amin", include_self=False
        )[:, self.layer]
        nearest = above == least
        share = torch.where((above < 1) | nearest, shares, 0.0)
        e = share / self._sums(share)[:, self.layer] * energy[:, self.layer]
        # Some fall below the threshold now; theirs goes to the others.
        e = torch.where((e >= self.threshold) | nearest, e, 0.0)
        sums = self._sums(e)[:, self.layer]
        return torch.where(sums > 0, e * energy[:, self.layer] / sums.clamp(min=1e-30), 0.0)
