"""Z + jets at particle and detector level, with the substructure observables of 1911.09107.

The hardest jet beside a Z boson of pt > 200 GeV at 14 TeV, from Pythia 8 and the package's fast
detector: with Pythia's default tune as the simulation, and a clearly different one as nature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.binning import merged_edges
from colliderkit.events.observables import PRESETS, table
from colliderkit.sources.files.pairs import iterate_pairs
from colliderkit.sources.pythia.shards import generate

__all__ = ["NATURE", "OBSERVABLES", "Observable", "PairedTable", "zjets"]

Floats = NDArray[np.float64]
NATURE = ("TimeShower:alphaSvalue = 0.16", "StringZ:aLund = 0.9")


@dataclass(frozen=True)
class Observable:
    """Name an observable as a table has it, and the range and bins that it is compared in."""

    name: str
    symbol: str
    title: str
    label: str
    unit: str
    low: float
    high: float
    bins: int = 50

    @property
    def axis(self) -> str:
        """The label of an axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    def edges(self, values: Floats) -> Floats:
        """Return the edges of equal bins, those of fewer than 20 `values` (N,) merged upwards."""
        return merged_edges(np.linspace(self.low, self.high, self.bins + 1), values, self.name)


# The ranges of 1911.09107; whole numbers stand in the middle of their bins.
OBSERVABLES = (
    Observable("mass", "m", "jet mass", "Jet mass m", "GeV", 0, 75),
    Observable("multiplicity", "M", "multiplicity", "Jet multiplicity M", "", -0.5, 79.5, 40),
    Observable("width", "w", "jet width", "Jet width w", "", 0, 0.6),
    Observable("ln_rho", "ln ρ", "groomed mass", r"Groomed jet mass ln $\rho$", "", -14, -2),
    Observable(
        "tau21", "τ21", "N-subjettiness ratio", r"N-subjettiness ratio $\tau_{21}$", "", 0, 1.2
    ),
    Observable(
        "zg", "zg", "groomed momentum fraction", r"Groomed momentum fraction $z_g$", "", 0, 0.5
    ),
)
assert tuple(o.name for o in OBSERVABLES) == PRESETS["unfolding"]


@dataclass(frozen=True)
class PairedTable:
    """Observables of N events at both levels: `truth`, `reco` (N, C), what passes, and `event`.

    They are 0 where an event does not pass.
    """

    truth: Floats
    reco: Floats
    pass_truth: NDArray[np.bool_]
    pass_reco: NDArray[np.bool_]
    event: NDArray[np.int64]

    @classmethod
    def read(cls, path: str | Path, columns: str | Sequence[str] = "unfolding") -> "PairedTable":
        """Compute observables, or a preset of them, of a Parquet file of paired events."""
        parts: dict[str, list[NDArray[Any]]] = {}
        for array in iterate_pairs(path):
            for level in ("truth", "reco"):
                passed = np.asarray(array[f"pass_{level}"])
                observables = table(array[level][passed], columns)[0]
                values = np.zeros((len(array), observables.shape[1]))
                values[passed] = observables
                parts.setdefault(level, []).append(values)
                parts.setdefault(f"pass_{level}", []).append(passed)
            parts.setdefault("event", []).append(np.asarray(array["event"]))
        return cls(**{name: np.concatenate(values) for name, values in parts.items()})

    def __len__(self) -> int:
        return len(self.event)

    def at(self, rows: Any) -> "PairedTable":
        """Return some of the events: a mask (N,), numbers (n,) or a slice."""
        return PairedTable(**{name: values[rows] for name, values in vars(self).items()})

    @property
    def both(self) -> NDArray[np.bool_]:
        """Events seen at both levels."""
        return self.pass_truth & self.pass_reco


def zjets(
    path: Path,
    count: int,
    *,
    nature: bool = False,
    workers: int = 1,
    dask: str | None = None,
) -> Path:
    """Generate `count` events of the simulation, or of `nature`, to a Parquet file at `path`."""
    return generate(
        "z-jets",
        count,
        path,
        seed=2 if nature else 1,
        settings=NATURE if nature else (),
        paired=True,
        workers=workers,
        dask=dask,
    )
