"""Surrogate of a shower simulation: a generator of voxel energies given the incident energy."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.events.calorimeter.shower_variables import IncidentVariables, ShowerVariables
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.events.tables import validation_mask
from colliderkit.generators import GENERATORS
from colliderkit.generators.generator import Generator, rows_at_once
from colliderkit.methods.method import Method
from colliderkit.names import Registry
from colliderkit.seeds import derive
from colliderkit.training.adversarial import GanSchedule, fit_generator
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["BACKBONES", "ShowerSurrogate"]

Floats = NDArray[np.float32]
LAYERS = Training(epochs=20, batch_size=512, learning_rate=2e-3, schedule="cosine")
VOXELS = Training(epochs=40, batch_size=128, learning_rate=2e-3, schedule="one-cycle")
ROWS = 5000  # showers at a time
NUMBERS = 1 << 25  # voxels of the showers that scales are taken from, if that is more than 20,000
# Beyond the trained range by this factor is inside: a sample ends within what it was drawn from.
MARGIN = 1.05
CRITIC_STEPS = 5  # of a critic for one of its generator (1704.00028)


BACKBONES = Registry(
    "network of showers",
    {
        "residual": "colliderkit.networks.denoising:ResidualDenoiser",
        "rings": "colliderkit.networks.rings:RingTransformer",
        "u-net": "colliderkit.networks.calorimeter_unet:CalorimeterUNet",
        "ring-mixer": "colliderkit.networks.rings:RingMixer",
    },
    supplied=("geometry", "features", "context"),
)


class ShowerSurrogate(Method):
    """Learn p(shower | E_inc) in two steps: the layers' energies, then the voxels within layers.

    Layer variables by one generator given ln E_inc, voxel variables by another given both (see
    `events.calorimeter.shower_variables`): the energy of each layer is that of the first step
    exactly. After CaloFlow (2106.05285), LayerDiffusion (2308.03876) and CaloDREAM (2405.09629).

    Args:
        threshold: energies [MeV] below are zero, in training and in what is generated.
        generator: of the voxels, a name of `generators.GENERATORS`.
        options: keyword arguments of the generator.
        network: inside the generator, for those that take one: "ring-mixer" (perceptrons along and
            across the rings of the layers), "rings" (a transformer over them, slower), "u-net"
            (convolutions of the cylinder) or "residual".
        network_options: keyword arguments of the network.
        layer_generator: of the layers, by name; None leaves the first step out, and voxels are
            drawn given ln E_inc alone. With its `layer_options`.
        rotations: use that showers look alike under rotations around their axis, where all layers
            that are cut in angle have equally many cuts and the generator takes a symmetry.
        validation: the share of the showers that chooses the epoch.
        layers, voxels: training of the two steps.

    After `fit`: the generators `layers_` (or None) and `voxels_`, `variables_` that turn showers
    into what they learn, `geometry_`, `range_` of the incident energies [MeV], and `history_` of
    "layers" and "voxels".
    """

    name: ClassVar[str] = "shower-surrogate"
    resumable: ClassVar[bool] = True

    geometry_: Geometry
    range_: tuple[float, float]
    variables_: ShowerVariables | IncidentVariables
    layers_: Generator | None
    voxels_: Generator
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        threshold: float = 0.05,
        generator: str = "diffusion",
        options: Mapping[str, Any] | None = None,
        network: str | None = "ring-mixer",
        network_options: Mapping[str, Any] | None = None,
        layer_generator: str | None = "flow",
        layer_options: Mapping[str, Any] | None = None,
        rotations: bool = True,
        validation: float = 0.1,
        layers: Training = LAYERS,
        voxels: Training = VOXELS,
    ) -> None:
        self.threshold = threshold
        self.generator = generator
        self.options = options
        self.network = network
        self.network_options = network_options
        self.layer_generator = layer_generator
        self.layer_options = layer_options
        self.rotations = rotations
        self.validation = validation
        self.layers = layers
        self.voxels = voxels

    def fit(
        self,
        showers: Showers,
        geometry: Geometry,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on N showers and return self; showers of one event are not parted by the split.

        `weight` (N,), those of the showers if not given, multiplies the losses. The scales of the
        variables and the distance that chooses the epoch of a GAN are taken without it: scales are
        undone exactly when showers are drawn, whatever they are, so that the density learned is
        the weighted one.
        Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` for showers
        that do not fit the geometry or hold something else than energies, and weights below 0.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            showers=showers,
            geometry=geometry,
            weight=weight,
        )
        showers = Showers.checked(
            showers.incident,
            showers.voxels,
            "showers",
            geometry=geometry,
            weight=showers.weight if weight is None else weight,
            event=showers.event,
            negative="showers are drawn from a density",
        )
        validation = validation_mask(showers.event, self.validation, seed)
        self.geometry_ = geometry
        incident = showers.incident.astype(np.float32)
        self.range_ = float(incident.min()), float(incident.max())
        inc = torch.from_numpy(incident)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "networks"))
            self._rebuild()
        first = slice(0, max(4 * ROWS, NUMBERS // geometry.voxels))
        self.variables_.fit(_tensor(showers.voxels[first]), inc[first])
        random = torch.Generator().manual_seed(derive(seed, "noise of empty voxels"))
        parts = [
            self.variables_(_tensor(piece.voxels), energies, random)
            for piece, energies in zip(showers.pieces(ROWS), inc.split(ROWS), strict=True)
        ]
        a, x = (torch.cat(column) for column in zip(*parts, strict=True))
        steps = {"voxels": (self.voxels_, x, self.variables_.conditions(a, inc), self.voxels)}
        if self.layers_ is not None:
            steps = {"layers": (self.layers_, a, _log_gev(inc), self.layers), **steps}
        unit = torch.from_numpy((showers.weight / showers.weight.mean()).astype(np.float32))
        self.history_ = {}
        for title, (model, values, context, settings) in steps.items():
            model.fit_scaling(values[~validation], context[~validation])
            if model is self.voxels_:
                # Voxel variables are standard normal already.
                model.scaling.mean.zero_()
                model.scaling.std.fill_(1.0)
            data = Dataset(values, torch.zeros(len(values)), unit, context)
            self.history_[title] = fit_generator(
                model,
                *data.split(validation),
                settings,
                schedule=GanSchedule(discriminator_steps=CRITIC_STEPS),
                folder=None if folder is None else Path(folder) / title,
                seed=seed,
                resume=resume,
                title=title,
                progress=progress,
            )
        return self

    def sample(self, incident: ArrayLike, *, seed: int = 0, outside: bool = False) -> Floats:
        """Draw a shower (V,) [MeV] for each incident energy (N,) [MeV], (N, V) float32.

        Raises `InputError` for an energy more than 5% outside the trained range, unless `outside`
        is allowed.
        """
        low, high = self.range_
        energy = _incident(incident)
        beyond = (energy < low / MARGIN) | (energy > high * MARGIN)
        if beyond.any() and not outside:
            raise InputError(
                f"an incident energy of {energy[beyond][0]:g} MeV is outside the trained range,"
                f" {low:g} to {high:g} MeV; give outside to extrapolate."
            )
        random = torch.Generator().manual_seed(seed)
        showers = np.empty((len(energy), self.geometry_.voxels), dtype=np.float32)
        start = 0
        with torch.no_grad():
            for piece in torch.from_numpy(energy).split(rows_at_once(self.noise_size, ROWS)):
                noise = torch.randn(len(piece), self.noise_size, generator=random)
                showers[start : start + len(piece)] = self.decode(noise, piece).numpy()
                start += len(piece)
        return showers

    @property
    def noise_size(self) -> int:
        """Z, the normal numbers that one shower is made of."""
        layers = 0 if self.layers_ is None else self.layers_.noise_size
        return layers + self.voxels_.noise_size

    def decode(self, noise: Tensor, incident: Tensor) -> Tensor:
        """Return the showers (N, V) [MeV] of noise (N, Z) and incident energies (N,) [MeV]."""
        size = self.noise_size - self.voxels_.noise_size
        a = noise[:, :size]
        if self.layers_ is not None:
            a = self.layers_.decode(a, _log_gev(incident)).float()
        x = self.voxels_.decode(noise[:, size:], self.variables_.conditions(a, incident)).float()
        showers: Tensor = self.variables_.showers(a, x, incident)
        return showers

    def _rebuild(self) -> None:
        layers, voxels = len(self.geometry_.layers), self.geometry_.voxels
        layered = self.layer_generator is not None
        context = 1 + 2 * layers if layered else 1
        options = dict(self.options or {})
        if self.network is not None:
            supplied: dict[str, Any] = {"context": context}
            if self.network == "residual":
                supplied["features"] = voxels
            else:
                supplied["geometry"] = self.geometry_
            options["network"] = BACKBONES.build(
                self.network, **supplied, **(self.network_options or {})
            )
        known = signature(GENERATORS.load(self.generator)).parameters
        if self.rotations and "symmetry" in known:
            options["symmetry"] = rotations(self.geometry_)
        variables = ShowerVariables if layered else IncidentVariables
        self.variables_ = variables(self.geometry_, self.threshold)
        self.layers_ = None
        if self.layer_generator is not None:
            self.layers_ = GENERATORS.build(
                self.layer_generator, features=layers, context=1, **(self.layer_options or {})
            )
        self.voxels_ = GENERATORS.build(self.generator, features=voxels, context=context, **options)


def rotations(geometry: Geometry) -> Tensor | None:
    """Return the permutations (A, V) of the voxels that turn a shower around its axis.

    None where layers that are cut in angle have different numbers of cuts, or a layer has cells.
    """
    if any(isinstance(layer, Grid) for layer in geometry.layers):
        return None
    cuts = {layer.angles for layer in geometry.rounds} - {1}
    if len(cuts) != 1:
        return None
    (angles,) = cuts
    turns = []
    for turn in range(angles):
        parts = []
        for start, layer in zip(geometry.starts, geometry.rounds, strict=False):
            place = np.arange(layer.voxels).reshape(layer.angles, layer.rings)
            parts.append(start + np.roll(place, turn if layer.angles > 1 else 0, axis=0).ravel())
        turns.append(np.concatenate(parts))
    return torch.from_numpy(np.stack(turns))


def _incident(incident: ArrayLike) -> NDArray[np.float32]:
    energy = np.asarray(incident, dtype=np.float32).reshape(-1)
    bad = ~((energy > 0) & np.isfinite(energy))
    if len(energy) == 0 or bad.any():
        which = (
            f"shower {int(np.argmax(bad))} has {energy[bad][0]:g}" if len(energy) else "none given"
        )
        raise InputError(f"incident energies must be positive and finite [MeV]; {which}.")
    return energy


def _tensor(voxels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(voxels))


def _log_gev(incident: Tensor) -> Tensor:
    return (incident / 1e3).log()[:, None]
