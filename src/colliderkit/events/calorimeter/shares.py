"""A shower as what a generator learns: the energies of its layers, and shares within each."""

import torch
from torch import Tensor, nn

from colliderkit.events.calorimeter.geometry import Geometry

__all__ = ["LayerShares"]

DELTA = 1e-6
FAINT = 1e-2  # of the threshold: the least energy of a layer that a condition tells apart


class LayerShares(nn.Module):
    """Turn showers (N, V) [MeV] into layer variables (N, L) and voxel variables (N, V), and back.

    With E_i the energy of layer i of L,

        a_0 = ln(sum_i E_i / E_inc),   a_i = logit(E_{i-1} / (E_{i-1} + ... + E_{L-1})),
        x_v = ln(e_v / threshold),

    and back, e_v ~ exp(x_v) in the ratios within a layer and with the energy of the layer as their
    sum, exactly, whatever x is. Voxels below the `threshold` [MeV] are zero: on the way in they
    get an energy below it, -x half-normal, so that the density has no spike and the edge of zero
    is at x = 0 in every voxel; on the way back those below are cut, but for the largest of a
    layer. After 2106.05285 and 2405.09629, which use logits of shares.
    """

    places: Tensor

    def __init__(self, geometry: Geometry, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.layers = len(geometry.layers)
        self.register_buffer("places", torch.from_numpy(geometry.layer.copy()), persistent=False)

    def _sums(self, e: Tensor) -> Tensor:
        """Sum voxels (N, V) by layer, (N, L)."""
        sums = e.new_zeros(e.shape[0], self.layers)
        return sums.index_add(1, self.places, e)

    def forward(
        self, showers: Tensor, incident: Tensor, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return layer variables (N, L) and voxel variables (N, V) of showers and E_inc (N,)."""
        e = showers.double()
        seen = e >= self.threshold
        energy = self._sums(torch.where(seen, e, 0.0))
        energy = torch.where(energy > 0, energy, self._below(energy.shape, random))
        filled = torch.where(seen, e, self._below(e.shape, random))
        x = (filled / self.threshold).log()
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

    def showers(self, a: Tensor, x: Tensor, incident: Tensor) -> Tensor:
        """Return showers (N, V) [MeV] of both kinds of variables and E_inc (N,)."""
        energy = self.layer_energies(a, incident)
        energy = torch.where(energy >= self.threshold, energy, 0.0)
        places = self.places.expand_as(x)
        largest = x.new_zeros(energy.shape).scatter_reduce(
            1, places, x, "amax", include_self=False
        )[:, self.places]
        # The largest voxel of a layer stays: a layer with energy has it somewhere.
        largest = x == largest
        share = torch.where((x >= 0) | largest, x, -torch.inf).exp()
        e = share / self._sums(share)[:, self.places] * energy[:, self.places]
        # Some fall below the threshold now; theirs goes to the others.
        e = torch.where((e >= self.threshold) | largest, e, 0.0)
        kept = self._sums(e)[:, self.places]
        return torch.where(kept > 0, e * energy[:, self.places] / kept.clamp(min=1e-30), 0.0)

    def conditions(self, a: Tensor, incident: Tensor) -> Tensor:
        """Return what the voxels depend on, (N, 1 + 2 L): ln E_inc [GeV], a and ln E_i [MeV]."""
        energy = self.layer_energies(a, incident).clamp(min=FAINT * self.threshold)
        return torch.cat([(incident / 1e3).log()[:, None], a, energy.log()], 1)

    def _below(self, shape: torch.Size, random: torch.Generator | None) -> Tensor:
        """Draw energies below the threshold, ln(e / threshold) = -|N(0, 1)|."""
        return self.threshold * (-torch.randn(shape, generator=random).abs().double()).exp()
