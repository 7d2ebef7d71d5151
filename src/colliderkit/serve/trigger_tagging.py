"""ONNX file of a trigger's tagging: from towers and triplets of hits to the classes of a seed."""

import copy
from pathlib import Path

from torch import Tensor

from colliderkit.events.trigger_seeds import CLASSES, TriggerSeeds
from colliderkit.files import refuse_existing
from colliderkit.methods.reconstruction.trigger_tagging import TriggerTagging, elements
from colliderkit.networks.trigger_seed import COLUMNS
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import write_checked

__all__ = ["DeployedTriggerTagging", "export_trigger_tagging"]


class DeployedTriggerTagging(Deployed):
    """Answer elements of seeds (batch, length, 10), zero-padded, with `probability` (batch, 4)."""

    def __init__(self, method: TriggerTagging) -> None:
        super().__init__()
        self.model = copy.deepcopy(method.network_)
        self.outputs, self.scales = ["probability"], [1.0]
        self.network = type(self.model).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        assert mask is not None
        return (self.model(values, mask).softmax(1),)


def export_trigger_tagging(
    method: TriggerTagging, path: str | Path, seeds: TriggerSeeds, *, force: bool = False
) -> float:
    """Write a fitted network as one ONNX file, checked on seeds; return the largest difference.

    The file takes ``constituents`` (batch, length, 10) float32 by `networks.trigger_seed.COLUMNS`
    and gives ``probability`` (batch, 4); slope and thresholds of the scores are in its metadata.
    Raises `InputError`, and writes nothing, where onnxruntime differs from torch by more than 1e-4.
    """
    refuse_existing(path, force)
    about = {
        "method": method.name,
        "seed": method.seed_,
        "classes": list(CLASSES),
        "slope": repr(method.slope_),
        "thresholds": [float(value) for value in method.thresholds_],
    }
    deployed = DeployedTriggerTagging(method)
    return write_checked(deployed, path, elements(seeds), None, COLUMNS, about, force)
