"""ONNX file of object detection: from the image of an event to the maps of centres."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import colliderkit
from colliderkit.errors import InputError
from colliderkit.events.event_objects import CHANNELS, KINDS, EventTowers
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.object_detection import ObjectDetector
from colliderkit.networks.center_map import QUANTITIES
from colliderkit.serve.onnx import TOLERANCE, write_proto
from colliderkit.serve.translation import session, translate

__all__ = ["export_object_detection"]

EVENTS = 32  # that a file is checked on, beside one without anything in it


class _Maps(nn.Module):
    """Heats as probabilities, and places and sizes, of an image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.network(image)
        return maps[:, : len(KINDS)].sigmoid(), maps[:, len(KINDS) :]


def export_object_detection(
    method: ObjectDetector, path: str | Path, towers: EventTowers, *, force: bool = False
) -> float:
    """Write a fitted detector as one ONNX file, checked on events; return the largest difference.

    The file takes ``image`` (batch, 3, R, C) float32 [GeV, transverse]: electromagnetic, hadronic
    and track pT of towers, rows from azimuth -pi upwards and columns from eta = -`eta`. It gives
    ``heat`` (batch, 3, R / 2, C / 2), the probability of a centre by kind, and ``quantities``
    (batch, 4, R / 2, C / 2): how far the centre is from that of the cell, in cells along rows and
    columns, ln pT and ln mass of GeV. What is left is to take the local maxima. Raises
    `InputError`, and writes nothing, where onnxruntime differs from torch by more than 1e-4.
    """
    refuse_existing(path, force)
    if not len(towers):
        raise InputError("ONNX export: no example events; give some to check the file on.")
    images = method.images(towers.at(slice(0, EVENTS))).contiguous()
    images = torch.cat([images, torch.zeros_like(images[:1])])
    module = _Maps(copy.deepcopy(method.network_).cpu()).eval()
    free = ({0: torch.export.Dim("batch")},)
    proto = translate(module, (images[:2],), ["image"], ["heat", "quantities"], free, "CenterMap")
    running = session(proto.SerializeToString())
    difference = 0.0
    for some in (images, images[:1], images[-1:]):
        with torch.no_grad():
            ours = module(some)
        for one, other in zip(ours, running.run(None, {"image": some.numpy()}), strict=True):
            difference = max(difference, float(np.abs(one.numpy() - other).max()))
    if not difference <= TOLERANCE:
        raise InputError(
            f"{path}: not written, because onnxruntime differs from torch by {difference:.1e} on"
            f" these events (allowed are {TOLERANCE:.0e}); please report it."
        )
    properties = {
        "method": method.name,
        "seed": method.seed_,
        "channels": list(CHANNELS),
        "units": "GeV, transverse",
        "kinds": list(KINDS),
        "quantities": list(QUANTITIES),
        "eta": repr(method.eta),
        "radius": repr(method.radius),
        "threshold": repr(method.threshold),
        "colliderkit": colliderkit.__version__,
        "network": "CenterMap",
        "largest_difference_to_torch": f"{difference:.3e}",
    }
    write_proto(proto, path, properties, force)
    return difference
