"""Find tracks without learning weights: triplets of hits on a helix, linked from the best on."""

from typing import ClassVar

from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.tracking import HitGraph, TrackFinder
from colliderkit.metrics.tracking import Interest

__all__ = ["HelixTracks"]


class HelixTracks(TrackFinder):
    """Find tracks by how well three hits lie on a helix through the beam: seeds, followed.

    A doublet is worth minus the chi2 of its best triplet inwards and of its best outwards, each of
    the residuals across and along the beam in units of what true triplets have there, 16 for one
    that is lacking, and minus one for every 4 mm of its length: a step over a hit of its own track
    is as good a helix, and wrong. Windows and units are learned from true tracks, as a classical
    algorithm is tuned on simulation; there is no network.

    Args:
        pt: the least transverse momentum of the particles that windows are learned from, in GeV.
        volumes: of the detector that are used, such as 7 8 9, the pixels of TrackML; all if not
            given.
        neighbours: doublets of each hit outwards, and inwards, that fit a helix best.
        overlaid: how many events are laid one upon another where the threshold is chosen.
        validation: share of the events that the threshold is chosen on.
        interest: the particles that the threshold is chosen for.

    After `fit`: `map_`, the windows; `densest_`, the hits of the largest event of the training;
    `threshold_` of minus chi2; `sample_`, what the validation events gave, [value, error] by name.
    """

    name: ClassVar[str] = "helix-tracks"

    def __init__(
        self,
        *,
        pt: float = 0.3,
        volumes: list[int] | None = None,
        neighbours: int = 16,
        overlaid: list[int] | None = None,
        validation: float = 0.1,
        interest: Interest = Interest(),
    ) -> None:
        self.pt = pt
        self.volumes = volumes
        self.neighbours = neighbours
        self.overlaid = [1] if overlaid is None else overlaid
        self.validation = validation
        self.interest = interest

    def _scores(self, graph: HitGraph) -> Floats:
        return -graph.chi2()
