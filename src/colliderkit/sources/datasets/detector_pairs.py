"""Jets simulated twice, by a fast and by a full detector, for the refinement of the fast one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.observables import table
from colliderkit.sources.detector.response import HCAL, Detector
from colliderkit.sources.pythia.matching import delta_r
from colliderkit.sources.pythia.pairs import pairs

__all__ = ["NAMES", "DetectorPairs", "FastDetector", "detector_pairs"]

Floats = NDArray[np.float64]
# Of a jet: pt over that of the true jet, ln(1 + mass / GeV), and four of `events.observables`.
NAMES = ("response", "mass", "multiplicity", "width", "ptd", "tau21")
SAME = 0.2  # in the (eta, phi) plane: a jet farther from the true one is another


class FastDetector(Detector):
    """The detector without a field and with coarse towers, drawing its own random numbers."""

    def reconstruct(self, particles: Any, random: np.random.Generator | int = 0) -> Any:
        """Return what the detector sees; see `Detector.reconstruct`."""
        # Not those of the full detector, whose stream begins with the same seed.
        return super().reconstruct(particles, np.random.default_rng(random).spawn(1)[0])


@dataclass(frozen=True)
class DetectorPairs:
    """Quantities of N jets, fast and full (N, D), what is true (N, C), and event numbers."""

    fast: Floats
    full: Floats
    truth: Floats
    event: NDArray[np.int64]

    def at(self, rows: Any) -> "DetectorPairs":
        """Return some of the jets."""
        return DetectorPairs(self.fast[rows], self.full[rows], self.truth[rows], self.event[rows])

    def __len__(self) -> int:
        return len(self.event)


def detector_pairs(events: int, *, seed: int) -> DetectorPairs:
    """Simulate `events` jets in both detectors; those are kept that both see, and see alike."""
    fast = FastDetector(field=0.0, ecal=replace(HCAL, name="ECAL"))
    paired = [
        pairs("z-jets", events, seed=seed, detector=detector) for detector in (fast, Detector())
    ]
    numbers = [np.asarray(each["event"]) for each in paired]
    common = np.intersect1d(numbers[0], numbers[1])
    levels = [each[np.isin(np.asarray(each["event"]), common)] for each in paired]
    kept = np.ones(len(common), dtype=bool)
    for each in levels:
        kept &= np.asarray(each["pass_truth"] & each["pass_reco"])
        place = [
            np.asarray(each[level, f"jet_{name}"], dtype=np.float64)
            for level in ("truth", "reco")
            for name in ("eta", "phi")
        ]
        kept &= delta_r(*place) < SAME
    levels = [each[kept] for each in levels]
    truth = levels[1]["truth"]
    pt, eta = (np.asarray(truth[f"jet_{name}"], dtype=np.float64) for name in ("pt", "eta"))
    quantities = []
    for each in levels:
        found = table(each["reco"], NAMES[1:])[0].astype(np.float64)
        found[:, 0] = np.log1p(found[:, 0])
        response = np.asarray(each["reco", "jet_pt"], dtype=np.float64) / pt
        quantities.append(np.column_stack([response, found]))
    known = np.column_stack([np.log(pt), np.abs(eta)])
    return DetectorPairs(quantities[0], quantities[1], known, common[kept])
