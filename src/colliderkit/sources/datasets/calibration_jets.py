"""True jets and what is seen of them, as tables to calibrate with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.composition import COMPOSITION, composition
from colliderkit.sources.files.pairs import iterate_pairs

__all__ = ["MASS", "PRIORS", "PT", "Jets", "Quantity", "read_jets", "weights"]

Floats = NDArray[np.float64]

COUNTS = 2  # the first columns of `COMPOSITION`
LEAST_MASS = 0.2  # of a jet of one particle [GeV]
PRIORS = {"flat": 0.0, "falling": 1.0}  # the power by which a spectrum falls beyond the sample's


@dataclass(frozen=True)
class Jets:
    """N jets: `truth` and `reco` (N, 2), pt and mass [GeV], features (N, F), event numbers.

    The features are |eta| and those of `COMPOSITION`, as seen.
    """

    truth: Floats
    reco: Floats
    features: Floats
    event: NDArray[np.int64]

    def at(self, rows: Any) -> "Jets":
        """Return some of the jets."""
        return Jets(self.truth[rows], self.reco[rows], self.features[rows], self.event[rows])

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True)
class Quantity:
    """Quantity that is calibrated: its column, and the bins (`edges`) that it is judged in.

    Learned from are the jets with truths in the range `truths`. The other quantity seen is a
    feature, the mass as a share of pt; `left_out` are those of `COMPOSITION` that are none.
    """

    title: str
    column: int
    label: str
    truths: tuple[float, float]
    edges: tuple[float, ...]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The features, in words."""
        other = "ln(jet $p_T$ / GeV)" if self.column else "Jet mass / $p_T$"
        titles = [title for name, title in COMPOSITION.items() if name not in self.left_out]
        return [r"Jet $|\eta|$", other, *titles]

    def table(self, jets: Jets) -> tuple[Floats, Floats, Floats]:
        """Return logarithms of what is seen and true, (N,), and features (N, F)."""
        pt, mass = jets.reco.T
        other = np.log(pt) if self.column else mass / pt
        columns = [0, *(1 + i for i, name in enumerate(COMPOSITION) if name not in self.left_out)]
        features = np.insert(jets.features[:, columns], 1, other, axis=1)
        measured = np.maximum(jets.reco[:, self.column], LEAST_MASS)
        return np.log(measured), np.log(jets.truth[:, self.column]), features

    def in_range(self, jets: Jets) -> Jets:
        """Return the jets whose truth is within `truths`."""
        truth = jets.truth[:, self.column]
        return jets.at((truth > self.truths[0]) & (truth < self.truths[1]))


PT = Quantity(
    "pt",
    0,
    "True jet $p_T$ [GeV]",
    (25.0, 1000.0),
    tuple(np.geomspace(50, 500, 9).tolist()),
)
# At fixed pt and widths what is seen of the mass is nearly fixed as well, whatever the true one:
# there is no response to invert.
MASS = Quantity(
    "mass",
    1,
    "True jet mass [GeV]",
    (3.0, 200.0),
    tuple(np.geomspace(8, 64, 7).tolist()),
    left_out=("track_width", "calorimeter_width"),
)


def read_jets(path: Path) -> Jets:
    """Read the jets of a file of pairs that are seen.

    Counts of particles are spread evenly over the unit around them, by draws that depend on the
    file alone: a flow needs features with a density.
    """
    random = np.random.default_rng(0)
    parts = []
    for array in iterate_pairs(path):
        array = array[array["pass_reco"]]
        levels = [
            np.column_stack(
                [np.asarray(array[level, f"jet_{q}"], dtype=np.float64) for q in ("pt", "mass")]
            )
            for level in ("truth", "reco")
        ]
        eta = np.abs(np.asarray(array["reco", "jet_eta"], dtype=np.float64))
        contents = composition(array["reco"])
        contents[:, :COUNTS] += random.uniform(-0.5, 0.5, (len(contents), COUNTS))
        features = np.column_stack([eta, contents])
        parts.append((*levels, features, np.asarray(array["event"])))
    return Jets(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def weights(jets: Jets, prior: str) -> Floats:
    """Return the weights of jets under a prior, (true pt / 50 GeV)^-power, (N,)."""
    return np.asarray((jets.truth[:, PT.column] / 50.0) ** -PRIORS[prior])
