"""ONNX file of raw data end to end: from cells and the track to what the heads find."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colliderkit.events.calorimeter.objects import CalorimeterObjects
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.raw_data import RawData, cells
from colliderkit.networks.cell_heads import COLUMNS
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import write_checked

__all__ = ["DeployedRawData", "export_raw_data"]


class DeployedRawData(Deployed):
    """Answer raw cells (batch, length, 7) by `COLUMNS`, zero-padded, with what the heads find.

    Of the heads there are: `probability` (batch, K), `energy`, `energy_error` and `mass` (batch,)
    [GeV], and `share` (batch, length), 0 where padded.
    """

    def __init__(self, method: RawData, typical: float) -> None:
        super().__init__()
        self.method = copy.deepcopy(method)
        self.model = self.method.network_  # a module of this one only by this name
        heads = self.model.heads
        names = {"class": ["probability"], "energy": ["energy", "energy_error"], "mass": ["mass"]}
        self.outputs = [name for head in heads for name in names.get(head, [])]
        sizes = {"probability": 1.0, "mass": float(np.exp(method.target_[1].sum()))}
        self.scales = [sizes.get(name, typical) for name in self.outputs]
        if "share" in heads:
            self.outputs, self.scales = [*self.outputs, "share"], [*self.scales, 1.0]
        self.network = type(self.model).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        assert mask is not None
        logit, out = self.model(values, mask)
        found = self.method.read(out, values, mask)
        found["share"] = torch.sigmoid(logit) * mask.to(logit.dtype)
        return tuple(found[name] for name in self.outputs)


def export_raw_data(
    method: RawData, path: str | Path, events: CalorimeterObjects, *, force: bool = False
) -> float:
    """Write a fitted network as one ONNX file, checked on events; return the largest difference.

    The file takes ``constituents`` (batch, length, 7) float32 by `COLUMNS`, the track in each cell,
    and gives the outputs of `DeployedRawData`; the names of the kinds are in its metadata.
    Energies may differ by 1e-4 of the mean sum of the cells. Raises `InputError`, and writes
    nothing, where onnxruntime differs from torch by more.
    """
    refuse_existing(path, force)
    typical = max(float(events.seen.mean()), 1e-3) if len(events) else 1.0
    about = {"method": method.name, "seed": method.seed_, "kinds": method.kinds_}
    deployed = DeployedRawData(method, typical)
    return write_checked(deployed, path, cells(events), None, COLUMNS, about, force)
