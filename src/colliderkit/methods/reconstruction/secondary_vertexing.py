"""Base of what parts the tracks of a jet by the vertices that they come from."""

from abc import abstractmethod

import awkward as ak

from colliderkit.errors import InputError
from colliderkit.events.secondary_vertices import JetTracks
from colliderkit.events.tables import Ints
from colliderkit.methods.method import Method

__all__ = ["TrackPartition", "with_truth"]


class TrackPartition(Method):
    """Part the tracks of jets into vertices."""

    def find(self, jets: ak.Array) -> Ints:
        """Return the vertex of each track, (P,), numbered from 0 in each jet.

        Raises `InputError` as `JetTracks.of` does, whose tracks these are.
        """
        return self.parts(JetTracks.of(jets))

    @abstractmethod
    def parts(self, tracks: JetTracks) -> Ints:
        """Return the vertex of each track, (P,), numbered from 0 in each jet."""


def with_truth(jets: ak.Array) -> JetTracks:
    """Return the tracks of jets; raise `InputError` where the vertex of one is not known."""
    tracks = JetTracks.of(jets)
    if not tracks.known:
        raise InputError(
            "the true vertex of a track is not known; constituents need a column 'vertex', the"
            " number of the vertex in its jet, from 0 on."
        )
    return tracks
