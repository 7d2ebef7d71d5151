"""Jets beside a Z in a detector and in a simplified one: pairs to refine a fast simulation with."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.observables import table
from colliderkit.sources.detector.response import HCAL, Detector
from colliderkit.sources.pythia.matching import delta_r
from colliderkit.sources.pythia.pairs import pairs

__all__ = ["QUANTITIES", "FastDetector", "JetPairs", "make_jet_pairs"]

Floats = NDArray[np.float64]

# Names and labels of the quantities of a jet, in the order of the columns.
QUANTITIES = {
    "response": "Jet $p_T$ / true jet $p_T$",
    "mass": "ln(1 + jet mass / GeV)",
    "multiplicity": "Constituents",
    "width": "Jet width",
    "ptd": "$p_T^D$",
    "tau21": r"$\tau_{21}$",
}
SAME = 0.2  # in the (eta, phi) plane: a jet farther from the true one is another


class FastDetector(Detector):
    """The detector without a field and with coarse towers, drawing its own random numbers."""

    def reconstruct(self, particles: Any, random: np.random.Generator | int = 0) -> Any:
        """Return what the detector sees; see `Detector.reconstruct`."""
        # Not those of the full detector, whose stream begins with the same seed.
        return super().reconstruct(particles, np.random.default_rng(random).spawn(1)[0])


@dataclass(frozen=True)
class JetPairs:
    """N jets, each simulated twice, in a fast and in a full simulation.

    - `fast`, `full` (N, 6) float64: the `QUANTITIES` of the jet in each simulation;
    - `truth` (N, 2) float64: ln(pt / GeV) and |eta| of the true jet;
    - `event` (N,) int64: the number of its event.
    """

    fast: Floats
    full: Floats
    truth: Floats
    event: NDArray[np.int64]

    def at(self, rows: Any) -> "JetPairs":
        """Return some of the jets: by a mask (N,), numbers (n,) or a slice."""
        return JetPairs(**{name: column[rows] for name, column in self.columns().items()})

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, of which ``JetPairs(**columns)`` is made again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.event)


def make_jet_pairs(events: int, *, seed: int) -> JetPairs:
    """Simulate `events` jets in both detectors; those are kept that both see, and see alike.

    The fast one is the package's detector without a magnetic field and with an ECAL of the towers
    of the HCAL. A jet more than 0.2 from the true one, in the (eta, phi) plane, is another jet.
    """
    fast = FastDetector(field=0.0, ecal=replace(HCAL, name="ECAL"))
    simulations = [
        pairs("z-jets", events, seed=seed, detector=detector) for detector in (fast, Detector())
    ]
    first, second = (np.asarray(sample["event"]) for sample in simulations)
    common = np.intersect1d(first, second)
    simulations = [sample[np.isin(np.asarray(sample["event"]), common)] for sample in simulations]
    alike = np.ones(len(common), dtype=bool)
    for sample in simulations:
        directions = [
            np.asarray(sample[level, f"jet_{name}"], dtype=np.float64)
            for level in ("truth", "reco")
            for name in ("eta", "phi")
        ]
        alike &= np.asarray(sample["pass_truth"] & sample["pass_reco"])
        alike &= delta_r(*directions) < SAME
    simulations = [sample[alike] for sample in simulations]
    truth = simulations[1]["truth"]
    pt, eta = (np.asarray(truth[f"jet_{name}"], dtype=np.float64) for name in ("pt", "eta"))
    quantities = []
    for sample in simulations:
        observed = table(sample["reco"], list(QUANTITIES)[1:])[0].astype(np.float64)
        observed[:, 0] = np.log1p(observed[:, 0])
        response = np.asarray(sample["reco", "jet_pt"], dtype=np.float64) / pt
        quantities.append(np.column_stack([response, observed]))
    known = np.column_stack([np.log(pt), np.abs(eta)])
    return JetPairs(quantities[0], quantities[1], known, common[alike])
