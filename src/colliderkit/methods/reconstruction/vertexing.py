"""Base of vertex finders: tracks in, vertices along the beams out."""

from abc import abstractmethod

import awkward as ak

from colliderkit.events.vertices import Tracks, Vertices, true_vertices
from colliderkit.methods.method import Method
from colliderkit.metrics.vertices import strength_at

__all__ = ["VertexFinding"]


class VertexFinding(Method):
    """Find the vertices of events, each with a strength, by which few false ones are kept.

    `threshold_` is the strength from which on a vertex counts. `fit` sets it by events with truth:
    the one that leaves `false` wrong vertices an event.
    """

    threshold_: float

    false: float

    def find(self, events: ak.Array) -> Vertices:
        """Return the vertices above the threshold; raise `InputError` as `Tracks.of` does."""
        found = self.candidates(Tracks.of(events))
        return found.where(found.strength > self.threshold_)

    @abstractmethod
    def candidates(self, tracks: Tracks) -> Vertices:
        """Return all vertices that may be, with their strengths."""

    def _set_threshold(self, events: ak.Array) -> None:
        """Choose the threshold by events with truth."""
        tracks = Tracks.of(events)
        found, true = self.candidates(tracks), true_vertices(events, tracks)
        self.threshold_ = strength_at(true, found, self.false)
