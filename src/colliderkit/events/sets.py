"""Particle set (point cloud) of a jet: per-particle features computed from the raw columns."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events import fourvectors

__all__ = ["FEATURES", "LOG_FEATURES", "RELATIVE_FEATURES", "ParticleSet"]

TINY = 1e-8

# Shift and scale of each kinematic feature: (x - shift) * scale, then clipped to +-5. The
# values are those of the Particle Transformer (2202.03772).
FEATURES: dict[str, tuple[float, float]] = {
    "z": (0.0, 1.0),
    "deta": (0.0, 1.0),
    "dphi": (0.0, 1.0),
    "dr": (0.2, 4.0),
    "log_pt": (1.7, 0.7),
    "log_e": (2.0, 0.7),
    "log_ptrel": (-4.7, 0.7),
    "log_erel": (-4.7, 0.7),
}
RELATIVE_FEATURES = ("z", "deta", "dphi")
LOG_FEATURES = ("deta", "dphi", "log_pt", "log_e", "log_ptrel", "log_erel", "dr")


class ParticleSet(nn.Module):
    """Turn raw columns (B, N, C) into ``(features, vectors, mask)`` for a network on sets.

    `columns` names the C raw columns, px, py, pz, E first. `features` picks from `FEATURES`
    (kinematic, computed here) and from the further columns, which pass through a shift and
    scale fitted to the training data by `fit` and, like the others, saved with the model.
    Features are zero where padded.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, columns: Sequence[str], features: Sequence[str] = LOG_FEATURES) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.features = tuple(features)
        extra = [name for name in self.features if name not in FEATURES]
        for name in extra:
            if name not in self.columns[4:]:
                known = ", ".join([*FEATURES, *self.columns[4:]])
                raise InputError(f"feature '{name}' is neither kinematic nor a column; of {known}.")
        self._fitted = [i for i, name in enumerate(self.features) if name not in FEATURES]
        pairs = [FEATURES.get(name, (0.0, 1.0)) for name in self.features]
        self.register_buffer("shift", torch.tensor([p[0] for p in pairs]))
        self.register_buffer("scale", torch.tensor([p[1] for p in pairs]))

    @property
    def size(self) -> int:
        """The number of features of a particle."""
        return len(self.features)

    def fit(self, values: Tensor) -> "ParticleSet":
        """Fit shift and scale of the further columns to flat constituents (P, C)."""
        for i in self._fitted:
            column = values[:, self.columns.index(self.features[i])].double()
            spread = float(column.std(correction=0))
            self.shift[i] = float(column.mean())
            self.scale[i] = 1 / spread if spread > TINY else 1.0
        return self

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real = mask.to(values.dtype)
        # Each component in one piece of memory: what follows is twice as fast.
        p4 = (values[..., :4].permute(2, 0, 1).contiguous() * real).permute(1, 2, 0)
        axis = p4.sum(1)
        z, deta, dphi = fourvectors.relative(p4, mask)
        log_pt = fourvectors.pt(p4).log()
        log_e = p4[..., 3].clamp(min=TINY).log()
        compute: dict[str, Callable[[], Tensor]] = {
            "z": lambda: z,
            "deta": lambda: deta,
            "dphi": lambda: dphi,
            "dr": lambda: (deta.square() + dphi.square() + TINY**2).sqrt(),
            "log_pt": lambda: log_pt,
            "log_e": lambda: log_e,
            "log_ptrel": lambda: log_pt - fourvectors.pt(axis).log()[:, None],
            "log_erel": lambda: log_e - axis[:, None, 3].clamp(min=TINY).log(),
        }
        columns = torch.stack(
            [
                compute[name]() if name in compute else self._column(values, name)
                for name in self.features
            ],
            dim=1,
        )
        standard = (columns - self.shift[:, None]) * self.scale[:, None]
        return (standard.clamp(-5, 5) * real[:, None]).transpose(1, 2), p4, mask

    def _column(self, values: Tensor, name: str) -> Tensor:
        return values[..., self.columns.index(name)]
