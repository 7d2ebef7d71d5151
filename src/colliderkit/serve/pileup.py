"""ONNX file of a graph against pileup: from the particles of events to a weight of each."""

import copy
import itertools
from pathlib import Path

import awkward as ak
import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.events.ragged import Ragged
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.learned import ragged
from colliderkit.methods.reconstruction.pileup_graph import PileupGraph
from colliderkit.networks.radius_graph import COLUMNS as SEEN
from colliderkit.networks.radius_graph import DELAY, seen
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import write_checked

__all__ = ["COLUMNS", "DeployedPileup", "export_pileup"]

COLUMNS = ("eta", "phi", "vertex", "pt", "vertices")
EVENTS, LONGEST = 16, 300  # events, and particles of each, that a file is checked on


class DeployedPileup(Deployed):
    """Answer particles (batch, length, 5) eta, phi, vertex, pt [GeV], vertices, zero-padded.

    Of a graph that was fitted with times the sixth column is the delay from the hard collision
    [ps] (`Particles.delay`), NaN of what has none.

    `weight` (batch, length) multiplies momenta: 1 for particles of the leading vertex (0), 0 for
    those of others and for padding (pt = 0), and for those of no known vertex (-1) the probability
    of the hard collision. All pairs of an event are looked at, length^2 numbers for each ring.
    """

    def __init__(self, method: PileupGraph) -> None:
        super().__init__()
        self.model = copy.deepcopy(method.network_)
        self.outputs, self.scales = ["weight"], [1.0]
        self.network = type(self.model).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        assert mask is not None
        model = self.model
        eta, phi, vertex, pt, vertices, *delay = values.unbind(2)
        away = (phi[:, :, None] - phi[:, None]).abs()
        away = torch.minimum(away, (2 * torch.pi - away).abs())
        distance2 = (eta[:, :, None] - eta[:, None]).square() + away.square()
        alone = 1 - torch.eye(values.shape[1], dtype=torch.float32)
        both = mask[:, :, None] & mask[:, None]
        state = start = seen(pt, vertex, *delay)
        for message, update in zip(model.messages, model.updates, strict=True):
            sent = nn.functional.softplus(message(state))
            heard = []
            for low, high in itertools.pairwise(model.rings):
                ring = both & (distance2 >= low**2) & (distance2 < high**2)
                heard.append(torch.log1p((ring.to(pt.dtype) * alone) @ sent))
            state = update(torch.cat([start, *heard], dim=2))
        logit = model.answer(state)[..., 0]
        logit = logit - torch.log(vertices.clamp_min(1.0) / model.usual)
        known = (vertex == 0).to(pt.dtype)
        weight = torch.where(vertex < 0, torch.sigmoid(logit), known)
        return (weight * mask.to(pt.dtype),)


def export_pileup(
    method: PileupGraph, path: str | Path, events: ak.Array, *, force: bool = False
) -> float:
    """Write a fitted graph as one ONNX file, checked on events; return the largest difference.

    The file takes ``constituents`` (batch, length, 5) float32 by `COLUMNS` (6 with the delay) and
    gives the ``weight`` of `DeployedPileup`. Raises `InputError`, and writes nothing, where
    onnxruntime differs from torch by more than 1e-4, and for events without times that it needs.
    """
    refuse_existing(path, force)
    particles = Particles.of(events)
    if method.timed and particles.time is None:
        raise InputError(
            "the graph was fitted with times of particles, and the events have no column 'time';"
            " give events with times."
        )
    whole = ragged(particles, method.timed)
    columns = (*COLUMNS, DELAY) if method.timed else COLUMNS
    places = [(*SEEN, DELAY).index(name) for name in columns]
    # Of whole events all pairs at once, in batches, would not fit: the hardest particles of some.
    lengths = whole.lengths[:EVENTS].clamp(max=LONGEST)
    example = Ragged(whole.values[:, places], whole.starts[:EVENTS], lengths, columns)
    about = {"method": method.name, "seed": method.seed_}
    return write_checked(DeployedPileup(method), path, example, None, columns, about, force)
