"""ONNX file of a shower clustering: from raw hits to beta, factor and place of each."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.ragged import Ragged
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.shower_clustering import ShowerClustering
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import write_checked

__all__ = ["COLUMNS", "DeployedClustering", "export_clustering"]

COLUMNS = ("x", "y", "z", "energy")
TIME = "time"  # [ps], NaN of none: the fifth column where the method was fitted with times


class DeployedClustering(Deployed):
    """Answer raw hits (batch, length, 4) x, y, z [mm] and energy [GeV], zero-padded.

    Of a method that was fitted with times the fifth column is that of the hit [ps], NaN of none.

    `beta` (batch, length), `factor` (batch, length), what the energy of a cluster is multiplied by
    where this hit is its point, and `place` (batch, length, D); what is near a point of large beta
    is of it. All are 0 where padded.
    """

    def __init__(self, method: ShowerClustering) -> None:
        super().__init__()
        self.model = copy.deepcopy(method.network_)
        self.neighbours = method.neighbours
        self.timed = method.timed
        self.scale = method.scale_
        self.outputs = ["beta", "factor", "place"]
        self.scales = [1.0, 1.0, 1.0]
        self.network = type(self.model).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        assert mask is not None
        length = values.shape[1]
        # So that an event of fewer hits than neighbours has as many, of padding.
        hits = torch.nn.functional.pad(values, (0, 0, 0, self.neighbours))
        real = torch.nn.functional.pad(mask, (0, self.neighbours))
        energy = hits[..., 3] * real
        total = energy.sum(1, keepdim=True).clamp(min=1e-30)
        middle = (energy[..., None] * hits[..., :2]).sum(1) / total
        across = hits[..., :2] - middle[:, None]
        logarithm = hits[..., 3].clamp(min=1e-30).log()
        columns = [across, hits[..., 2:3], logarithm[..., None]]
        if self.timed:
            has = real & ~torch.isnan(hits[..., 4])
            time = torch.where(has, hits[..., 4], torch.zeros_like(energy))
            weight = energy * has
            mean = (weight * time).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(
                min=1e-30
            )
            some = has.to(energy.dtype)
            columns += [((time - mean) * some)[..., None], some[..., None]]
        features = torch.cat(columns, dim=2)
        features = features * real[..., None]
        out = self.model(features, real)[:, :length]
        some = mask.to(out.dtype)
        beta = torch.sigmoid(out[..., 0]) * some
        return beta, self.scale * out[..., 1].exp() * some, out[..., 2:]


def export_clustering(
    method: ShowerClustering, path: str | Path, hits: CalorimeterHits, *, force: bool = False
) -> float:
    """Write a fitted clustering as one ONNX file, checked on hits; return the largest difference.

    The file takes ``constituents`` (batch, length, 4) float32 by `COLUMNS` (5 with times) and gives
    the outputs of `DeployedClustering`; threshold and distance of the condensation are in its
    metadata. Raises `InputError`, and writes nothing, where onnxruntime differs from torch by more
    than 1e-4.
    """
    refuse_existing(path, force)
    method.features(hits)  # raises where times are needed and not there
    names = (*COLUMNS, TIME) if method.timed else COLUMNS
    given = [hits.position, hits.energy[:, None]]
    if method.timed and hits.time is not None:
        given.append(hits.time[:, None])
    columns = torch.from_numpy(np.concatenate(given, axis=1))
    example = Ragged(
        columns.float(),
        torch.from_numpy(hits.offsets[:-1].copy()),
        torch.from_numpy(hits.counts),
        names,
    )
    about = {
        "method": method.name,
        "seed": method.seed_,
        "threshold": repr(method.threshold_),
        "distance": repr(method.distance_),
    }
    return write_checked(DeployedClustering(method), path, example, None, names, about, force)
