"""ONNX file of secondary vertices: from tracks to the probability of each pair."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from colliderkit.events.secondary_vertices import COLUMNS, JetTracks
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.secondary_vertices import SecondaryVertices, ragged
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import write_checked

__all__ = ["DeployedPairs", "export_pairs"]


class DeployedPairs(Deployed):
    """Answer tracks (batch, length, 9) by `COLUMNS`, zero-padded.

    `same` (batch, length, length) is the probability that two are of one vertex, 0 where padded.
    """

    def __init__(self, method: SecondaryVertices) -> None:
        super().__init__()
        self.model = copy.deepcopy(method.network_)
        self.outputs = ["same"]
        self.scales = [1.0]
        self.network = type(self.model).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        assert mask is not None
        both = mask[:, :, None] & mask[:, None]
        return (torch.sigmoid(self.model(values, mask)) * both.to(values.dtype),)


def export_pairs(
    method: SecondaryVertices, path: str | Path, tracks: JetTracks, *, force: bool = False
) -> float:
    """Write the pair scores as one ONNX file, checked on tracks; return the largest difference.

    The file takes ``constituents`` (batch, length, 9) float32 by `COLUMNS` and gives ``same``; the
    threshold above which `average_links` joins is in its metadata. Raises `InputError`, and writes
    nothing, where onnxruntime differs from torch by more than 1e-4.
    """
    refuse_existing(path, force)
    about = {
        "method": method.name,
        "seed": method.seed_,
        "threshold": repr(method.threshold_),
    }
    return write_checked(DeployedPairs(method), path, ragged(tracks), None, COLUMNS, about, force)
