"""ONNX file of the network of a track finder: from a graph of hits to scores, or an embedding."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import colliderkit
from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.embedded_tracks import EmbeddedTracks
from colliderkit.methods.reconstruction.learned_tracks import Inputs, LearnedTracks, inputs
from colliderkit.serve.onnx import TOLERANCE, write_proto
from colliderkit.serve.translation import session, translate

__all__ = ["INPUTS", "DeployedTracks", "export_tracks", "feed_of"]

INPUTS = ("doublets", "triplets", "ends", "hits", "parameters", "positions")


class DeployedTracks(nn.Module):
    """Score the doublets of one graph of hits, and place hits where the method embeds them.

    Takes what `learned_tracks.inputs` says of E doublets, T triplets and H hits: `doublets`
    (E, 12), `triplets` (T, 5) float32, `ends` (2, T) and `hits` (2, E) int64, `parameters` (E, 5)
    float32, and `positions` (H, 3) float32, of which the number of hits alone counts. Gives
    `score` (E,), the logit that both hits are consecutive hits of a particle; of embedded-tracks
    also `place` (H, D) and `beta` (H,).
    """

    def __init__(self, method: LearnedTracks) -> None:
        super().__init__()
        self.model = copy.deepcopy(method.network_)
        self.embedding: nn.Module | None = None
        self.outputs = ["score"]
        if isinstance(method, EmbeddedTracks):
            self.embedding = copy.deepcopy(method.embedding_)
            self.outputs += ["place", "beta"]

    def forward(
        self,
        doublets: Tensor,
        triplets: Tensor,
        ends: Tensor,
        hits: Tensor,
        parameters: Tensor,
        positions: Tensor,
    ) -> tuple[Tensor, ...]:
        count = positions.shape[0]
        score, state = self.model(doublets, triplets, ends, hits, count)
        # What is not used would be no input of the file.
        score = score + 0 * (positions.sum() + parameters.sum())
        if self.embedding is None:
            return (score,)
        place, beta = self.embedding(score, state, parameters, hits, count)
        return score, place, beta


def feed_of(seen: Inputs, hits: TrackerHits) -> dict[str, Tensor]:
    """Return the inputs of a file, by name, of a graph of hits."""
    doublets, triplets, ends, pairs, _ = seen.network
    positions = np.stack([hits.x, hits.y, hits.z], axis=1).astype(np.float32)
    given = doublets, triplets, ends, pairs, seen.parameters, torch.from_numpy(positions)
    return dict(zip(INPUTS, given, strict=True))


def export_tracks(
    method: LearnedTracks, path: str | Path, hits: TrackerHits, *, force: bool = False
) -> float:
    """Write the network of a track finder as ONNX, checked on events; return the difference.

    Numbers of doublets, triplets and hits are free; the graph is built and tracks are linked beside
    the file, whose threshold (and radius) stand in its metadata. See `DeployedTracks`. Raises
    `InputError`, and writes nothing, for events without a triplet, and where onnxruntime differs
    from torch by more than 1e-4 of the largest output.
    """
    refuse_existing(path, force)
    graphs = [graph for n in range(len(hits)) for graph in method.graphs(hits.at([n]))]
    graphs = [graph for graph in graphs if len(graph.triplets) > 1]
    if not graphs:
        raise InputError(
            "no event has triplets of hits that may be of one track, so that the file cannot be"
            " checked; give events like those of the fit."
        )
    deployed = DeployedTracks(method).eval()
    feeds = [feed_of(inputs(graph, method.map_), graph.hits) for graph in graphs]
    doublets, triplets, count = (torch.export.Dim(n) for n in ("doublets", "triplets", "count"))
    free: tuple[dict[int, Any], ...] = (
        *({0: doublets}, {0: triplets}, {1: triplets}, {1: doublets}, {0: doublets}, {0: count}),
    )
    proto = translate(
        *(deployed, tuple(feeds[0].values()), INPUTS, deployed.outputs, free),
        type(deployed.model).__name__,
    )
    running = session(proto.SerializeToString(), 1)
    largest = 0.0
    for feed in feeds:
        with torch.no_grad():
            wanted = deployed(*feed.values())
        given = running.run(None, {name: values.numpy() for name, values in feed.items()})
        for ours, theirs in zip(wanted, given, strict=True):
            size = max(float(ours.abs().max()), 1.0)
            largest = max(largest, float(np.abs(ours.numpy() - theirs).max()) / size)
    if not largest <= TOLERANCE:
        raise InputError(
            f"{path}: not written, because onnxruntime differs from torch by {largest:.1e} on these"
            f" events (allowed are {TOLERANCE:.0e}); please report it."
        )
    about = {
        "colliderkit": colliderkit.__version__,
        "method": method.name,
        "seed": method.seed_,
        "threshold": repr(method.threshold_),
        "largest_difference_to_torch": f"{largest:.3e}",
    }
    if isinstance(method, EmbeddedTracks):
        about["radius"] = repr(method.radius_)
    write_proto(proto, path, about, force)
    return largest
