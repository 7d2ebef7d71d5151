"""Pairs of jets, true and seen, whose masses are those of a resonance or of QCD (2205.05084)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.sources.files.rows import read_rows
from colliderkit.sources.pythia.dijets import invariant_mass

__all__ = ["DijetPairs", "read_pairs_of_jets"]

Floats = NDArray[np.float64]

QUANTITIES = ("pt", "eta", "phi", "mj")


@dataclass(frozen=True)
class DijetPairs:
    """N events of two jets each, at both levels.

    - `truth`, `seen` (N, 2, 4): pt [GeV], eta, phi, mass [GeV] of each jet, in one order;
    - `weight` (N,); `event` (N,) int64.
    """

    truth: Floats
    seen: Floats
    weight: Floats
    event: NDArray[np.int64]

    def at(self, rows: Any) -> "DijetPairs":
        """Return some of the events: by a mask (N,), numbers (n,) or a slice."""
        return DijetPairs(self.truth[rows], self.seen[rows], self.weight[rows], self.event[rows])

    def __len__(self) -> int:
        return len(self.event)

    @property
    def true_mass(self) -> Floats:
        """The true mass of the pair, (N,) [GeV]."""
        return invariant_mass(*np.moveaxis(self.truth, 2, 0))

    def mass(self, pt: Floats | None = None) -> Floats:
        """Return the mass of the pair (N,) [GeV] as seen, with other pt (N, 2) if given.

        The mass of a jet changes by the factor of its pt.
        """
        seen = self.seen.copy()
        if pt is not None:
            seen[..., 3] *= pt / seen[..., 0]
            seen[..., 0] = pt
        return invariant_mass(*np.moveaxis(seen, 2, 0))


def read_pairs_of_jets(truth: Path, seen: Path) -> DijetPairs:
    """Join files of one process and seed, made without and with a detector, by the event's number.

    A jet seen belongs to the true one in its half of the transverse plane.
    """
    first, second = (_read(path) for path in (truth, seen))
    _, rows, others = np.intersect1d(first.event, second.event, return_indices=True)
    first, second = first.at(rows), second.at(others)
    turned = np.cos(first.truth[:, 0, 2] - second.truth[:, 0, 2]) < 0
    second.truth[turned] = second.truth[turned, ::-1]
    return DijetPairs(first.truth, second.truth, first.weight, first.event)


def _read(path: Path) -> DijetPairs:
    """Read a file at one level, which stands for both."""
    names = [f"{name}{'' if name == 'mj' else '_'}{i}" for i in (1, 2) for name in QUANTITIES]
    rows = read_rows(path, [*names, "weight", "event"])
    jets = rows.table(names).reshape(-1, 2, len(QUANTITIES))
    return DijetPairs(jets, jets, rows.table(["weight"])[:, 0], rows.numbers("event"))
