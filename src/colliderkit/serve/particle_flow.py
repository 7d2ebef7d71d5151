"""ONNX file of a particle flow: from tracks and clusters to the particle of each."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from colliderkit.events.particle_flow import FlowEvents
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.learned_flow import elements
from colliderkit.methods.reconstruction.mlpf import MLPF, SPREAD
from colliderkit.networks.element_graph import COLUMNS
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import write_checked

__all__ = ["DeployedFlow", "export_flow"]

TRACKS = (1.0, 0.0, 0.0, 1.0, 1.0)  # kinds that a track may be of
CLUSTERS = (0.0, 1.0, 1.0, 0.0, 0.0)


class DeployedFlow(Deployed):
    """Answer raw elements (batch, length, 13) by `COLUMNS`, zero-padded.

    `probability` (batch, length) that there is a particle, `kinds` (batch, length, 5) of its kind,
    and `momentum` (batch, length, 3): pT [GeV] before the scale of its kind, eta, phi. All are 0
    where padded.
    """

    def __init__(self, method: MLPF) -> None:
        super().__init__()
        self.model = copy.deepcopy(method.network_)
        self.outputs = ["probability", "kinds", "momentum"]
        self.scales = [1.0, 1.0, 10.0]
        self.network = type(self.model).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        assert mask is not None
        length = values.shape[1]
        # So that an event of fewer elements than neighbours has as many, of padding.
        spare = self.model.neighbours
        padded = torch.nn.functional.pad(values, (0, 0, 0, spare))
        real = torch.nn.functional.pad(mask, (0, spare))
        said = self.model(padded, real)[:, :length]
        some = mask.to(said.dtype)
        track = (values[..., 2:3] < 0.5).to(said.dtype)
        allowed = track * said.new_tensor(TRACKS) + (1 - track) * said.new_tensor(CLUSTERS)
        kinds = (said[..., 1:6] - 1e4 * (1 - allowed)).softmax(-1) * some[..., None]
        momentum = torch.stack(
            [
                values[..., 3] * said[..., 6].clamp(-5, 5).exp(),
                values[..., 4] + SPREAD * said[..., 7],
                values[..., 5] + SPREAD * said[..., 8],
            ],
            dim=2,
        )
        return torch.sigmoid(said[..., 0]) * some, kinds, momentum * some[..., None]


def export_flow(
    method: MLPF, path: str | Path, events: FlowEvents, *, force: bool = False
) -> float:
    """Write a fitted particle flow as one ONNX file, checked; return the largest difference.

    The file takes ``constituents`` (batch, length, 13) float32 by `COLUMNS` and gives the outputs
    of `DeployedFlow`; the threshold of the probability and the scales of momenta by kind are in its
    metadata. Raises `InputError`, and writes nothing, where onnxruntime differs from torch by more
    than 1e-4.
    """
    refuse_existing(path, force)
    example, _ = elements(events)
    about = {
        "method": method.name,
        "seed": method.seed_,
        "threshold": repr(method.threshold_),
        "scale": list(method.scale_),
    }
    return write_checked(DeployedFlow(method), path, example, None, COLUMNS, about, force)
