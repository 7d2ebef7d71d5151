"""ONNX export of a surrogate of showers, sampler and preprocessing inside, and its speed."""

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import colliderkit
from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.serve.latency import cpu_seconds
from colliderkit.serve.onnx import write_proto
from colliderkit.serve.translation import session, translate

__all__ = ["TOLERANCE", "ShowerTime", "export_surrogate", "shower_times"]

# The difference of a voxel, in units of its shower's energy, at which a file is still written.
TOLERANCE = 1e-5
SHOWERS = 200  # on which the file is checked
USUAL = 0.99  # the share of voxels that must agree
FEATURES = (
    50  # of a flow's sample, of which each takes a call of its networks, written out one by one
)


class _Graph(nn.Module):
    """Map noise (B, Z) and incident energies (B, 1) [MeV] to voxels (B, V) [MeV]."""

    def __init__(self, surrogate: ShowerSurrogate) -> None:
        super().__init__()
        self.surrogate = surrogate
        # As parts of the module, so that their tensors are found.
        parts = surrogate.layers_, surrogate.voxels_, surrogate.variables_
        self.parts = nn.ModuleList(part for part in parts if part is not None)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        return self.surrogate.decode(noise, incident[:, 0])


class _Par04(nn.Module):
    """Map Par04's vector (B, Z + 4) to its voxels (B, V): z fastest, then phi, then r."""

    order: Tensor

    def __init__(self, graph: _Graph, largest: float) -> None:
        super().__init__()
        self.inner = graph
        self.largest = largest
        geometry = graph.surrogate.geometry_
        order = geometry.to_par04(np.arange(geometry.voxels)[None])[0]
        self.register_buffer("order", torch.from_numpy(order))

    def forward(self, x: Tensor) -> Tensor:
        size = self.inner.surrogate.noise_size
        energies: Tensor = self.inner(x[:, :size], x[:, size : size + 1] * self.largest)
        return energies[:, self.order]


def export_surrogate(
    surrogate: ShowerSurrogate, path: str | Path, *, par04: bool = False, force: bool = False
) -> float:
    """Write a fitted surrogate as one ONNX file; return its difference to torch.

    The file takes ``noise`` (batch, Z) float32, standard normal, and ``incident`` (batch, 1)
    float32 [MeV], and gives ``energies`` (batch, V) float32 [MeV] in the voxels of the
    CaloChallenge's order. It needs onnxruntime alone::

        noise = numpy.random.standard_normal((100, Z)).astype("float32")
        onnxruntime.InferenceSession("showers.onnx").run(None, {"noise": noise, "incident": e})[0]

    With `par04` it is what the inference of Geant4's example Par04 calls: one vector
    (batch, Z + 4) of noise, E_inc / E_max, and the angle and two flags of the geometry, which are
    not used here; the voxels are in Par04's order (r, phi, z, the last fastest). That needs layers
    that are alike. Z, E_max, the range of energies and the geometry are in `metadata_props`.

    On 200 showers over the trained range torch and onnxruntime must agree to 1e-5 of the energy
    of a shower in 99% of the voxels; otherwise `InputError`, and no file. In few voxels a
    sampler turns the last digit of the noise into hit or not hit; the largest difference of all is
    in `metadata_props`. Raises `InputError` also for a
    surrogate that is not fitted, or whose voxels come one after the other.
    """
    refuse_existing(path, force)
    if isinstance(surrogate.voxels_, ConditionalFlow) and surrogate.voxels_.features > FEATURES:
        raise InputError(
            f"generator 'flow' makes {surrogate.voxels_.features} voxels one after the other, which"
            " is too long for one graph; fit generator 'student-flow', which makes them at once."
        )
    graph: nn.Module = _Graph(copy.deepcopy(surrogate))
    geometry, (low, high) = surrogate.geometry_, surrogate.range_
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(SHOWERS, surrogate.noise_size, generator=random)
    incident = low * (high / low) ** torch.rand(SHOWERS, 1, generator=random)
    inputs: tuple[Tensor, ...] = (noise, incident)
    names = ["noise", "incident"]
    if par04:
        graph = _Par04(graph, high)  # type: ignore[arg-type]
        inputs = (torch.cat([noise, incident / high, torch.zeros(SHOWERS, 3)], 1),)
        names = ["input"]
    graph.eval()
    batch = torch.export.Dim("batch")
    proto = translate(
        graph,
        tuple(x[:3] for x in inputs),
        names,
        ["energies"],
        tuple({0: batch} for _ in inputs),
        "surrogate",
    )
    with torch.no_grad():
        truth = graph(*inputs).numpy()
    running = session(proto.SerializeToString())
    largest, usual = 0.0, 0.0
    for rows in (slice(None), slice(0, 1), slice(5, 12)):
        feed = {name: x[rows].numpy() for name, x in zip(names, inputs, strict=True)}
        (found,) = running.run(None, feed)
        scale = np.maximum(truth[rows].sum(1, keepdims=True), surrogate.threshold)
        difference = np.abs(found - truth[rows]) / scale
        largest = max(largest, float(difference.max()))
        usual = max(usual, float(np.quantile(difference, USUAL)))
    if not usual <= TOLERANCE:
        raise InputError(
            f"surrogate: ONNX and torch differ by {usual:.1e} of a shower's energy in more than"
            f" {1 - USUAL:.0%} of the voxels, more than {TOLERANCE:g}; nothing is written."
        )
    properties: dict[str, Any] = {
        "colliderkit": colliderkit.__version__,
        "method": surrogate.name,
        "units": "MeV",
        "noise": surrogate.noise_size,
        "range": [low, high],
        "geometry": {
            "name": geometry.name,
            "layers": [
                {"number": x.number, "r_edges": list(x.r_edges), "angles": x.angles}
                for x in geometry.rounds
            ],
        },
        "difference": usual,
        "largest_difference": largest,
    }
    write_proto(proto, path, properties, force)
    return usual


@dataclass(frozen=True)
class ShowerTime:
    """CPU seconds of one shower on one core, of `batch` at once, by torch and by onnxruntime."""

    batch: int
    torch: float
    onnx: float


def shower_times(
    surrogate: ShowerSurrogate, path: Path, energy: float, *, repetitions: int = 5
) -> list[ShowerTime]:
    """Time one shower of `energy` [MeV] alone and in a hundred, by torch and the file at `path`.

    The ONNX file is written if it is not there. Each time is the median over repetitions.
    """
    if not path.exists():
        export_surrogate(surrogate, path)
    running = session(path.read_bytes(), threads=1)
    random = torch.Generator().manual_seed(0)
    times = []
    for batch in (1, 100):
        noise = torch.randn(batch, surrogate.noise_size, generator=random)
        incident = torch.full((batch, 1), energy)
        feed = {"noise": noise.numpy(), "incident": incident.numpy()}
        by_torch = partial(surrogate.decode, noise, incident[:, 0])
        by_onnx = partial(running.run, None, feed)
        seconds = [cpu_seconds(make, repetitions) / batch for make in (by_torch, by_onnx)]
        times.append(ShowerTime(batch, *seconds))
    return times
