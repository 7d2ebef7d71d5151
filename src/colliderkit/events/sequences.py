"""Sequence of a jet's particles or tracks: sorted, the leading ones kept."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events import fourvectors
from colliderkit.events.sets import LOG_FEATURES, ParticleSet

__all__ = ["ParticleSequence"]


class ParticleSequence(nn.Module):
    """Turn raw columns into ``(features, vectors, mask)`` of a `ParticleSet`, sorted and cut.

    `order` is ``"pt"`` or one of `columns`, of which the absolute value falls along the sequence
    (``"d0_significance"``, as RNNIP sorts tracks). At most `longest` particles are kept; the jet
    axis is that of all of them.
    """

    def __init__(
        self,
        columns: Sequence[str],
        features: Sequence[str] = LOG_FEATURES,
        *,
        order: str = "pt",
        longest: int | None = None,
    ) -> None:
        super().__init__()
        self.set = ParticleSet(columns, features)
        if order != "pt" and order not in self.set.columns:
            known = ", ".join(["pt", *self.set.columns])
            raise InputError(f"option 'order' is '{order}', which is not a column; of {known}.")
        if longest is not None and longest < 1:
            raise InputError(
                f"option 'longest' is {longest}; a sequence needs at least 1 particle."
            )
        self.order = order
        self.longest = longest

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns."""
        return self.set.columns

    @property
    def size(self) -> int:
        """The number of features of a particle."""
        return self.set.size

    def fit(self, values: Tensor) -> "ParticleSequence":
        """Fit shift and scale of the further columns to flat constituents (P, C)."""
        self.set.fit(values)
        return self

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, vectors, mask = self.set(values, mask)
        if self.order == "pt":
            key = fourvectors.pt(vectors)
        else:
            key = values[..., self.set.columns.index(self.order)].abs()
        # Padding gets a key below every real one, so that real particles stand first; among equal
        # keys the order of the file stays, whatever the padding. ONNX sorts so in any case, and
        # has no name for it.
        key = torch.where(mask, key, -1.0)
        if torch.compiler.is_exporting():
            order = key.argsort(dim=1, descending=True)
        else:
            order = key.argsort(dim=1, descending=True, stable=True)
        if self.longest is not None:
            order = order[:, : self.longest]
        rows = order[..., None]
        return (
            features.gather(1, rows.expand(-1, -1, features.shape[-1])),
            vectors.gather(1, rows.expand(-1, -1, 4)),
            mask.gather(1, order),
        )
