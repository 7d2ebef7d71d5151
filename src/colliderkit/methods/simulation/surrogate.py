"""A surrogate of a shower simulation: incident energy in, energies in the voxels out."""

from collections.abc import Mapping
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer
from colliderkit.events.calorimeter.shower_variables import IncidentVariables, ShowerVariables
from colliderkit.generators import GENERATORS
from colliderkit.generators.generator import Generator, rows_at_once
from colliderkit.methods.method import Method
from colliderkit.networks.calorimeter_unet import CalorimeterUNet
from colliderkit.networks.denoising import ResidualDenoiser
from colliderkit.networks.rings import RingMixer, RingTransformer
from colliderkit.training.adversarial import GanSchedule, fit_generator
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["NETWORKS", "ShowerSurrogate"]

Floats = NDArray[np.float32]
LAYERS = Training(epochs=20, batch_size=512, learning_rate=2e-3, schedule="cosine")
VOXELS = Training(epochs=40, batch_size=128, learning_rate=2e-3, schedule="one-cycle")
ROWS = 5000  # showers at a time
NUMBERS = 1 << 25  # voxels of the showers that scales are taken from, if that is more than 20,000
# Beyond the trained range by this factor is inside: a sample ends within what it was drawn from.
MARGIN = 1.05
CRITIC_STEPS = 5  # of a critic for one of its generator (1704.00028)


def _residual(geometry: Geometry, context: int, **options: Any) -> nn.Module:
    return ResidualDenoiser(geometry.voxels, context, **options)


NETWORKS: dict[str, Any] = {
    "residual": _residual,
    "rings": RingTransformer,
    "u-net": CalorimeterUNet,
    "ring-mixer": RingMixer,
}


class ShowerSurrogate(Method):
    """Learn p(shower | E_inc) in two steps: the layers' energies, then the voxels within layers.

    Layer variables by one generator given ln E_inc, voxel variables by another given both (see
    `events.calorimeter.shower_variables`): the energy of each layer is that of the first step
    exactly. After CaloFlow (2106.05285), LayerDiffusion (2308.03876) and CaloDREAM (2405.09629).

    Args:
        threshold: energies [MeV] below are zero, in training and in what is generated.
        generator: of the voxels, by name (see `generators.GENERATORS`), with its `options`.
        network: inside the generator, for those that take one: "ring-mixer" (perceptrons along and
            across the rings of the layers), "rings" (a transformer over them, slower), "u-net"
            (convolutions of the cylinder) or "residual", with its `network_options`.
        layer_generator: of the layers, by name; None leaves the first step out, and voxels are
            drawn given ln E_inc alone. With its `layer_options`.
        rotations: use that showers look alike under rotations around their axis, where all layers
            that are cut in angle have equally many cuts and the generator takes a symmetry.
        validation: the share of the showers that chooses the epoch.
        layers, voxels: training of the two steps.

    After `fit`: `layers_` (or None), `voxels_`, `geometry_`, and `range_` of the incident energies
    [MeV].
    """

    name: ClassVar[str] = "shower-surrogate"

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
        incident: ArrayLike,
        showers: NDArray[Any],
        geometry: Geometry,
        *,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on showers (N, V) [MeV] of incident energies (N,) [MeV] and return self.

        Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` for showers
        that do not fit the geometry or hold something else than energies.
        """
        if folder is None:
            with TemporaryDirectory(prefix="colliderkit-") as temporary:
                return self.fit(
                    incident, showers, geometry, seed=seed, folder=temporary, progress=progress
                )
        geometry.check(showers, "showers")
        energy = _incident(incident)
        if len(energy) != len(showers):
            raise InputError(f"{len(energy)} incident energies for {len(showers)} showers.")
        self.geometry_, self.seed_ = geometry, seed
        self.range_ = (float(energy.min()), float(energy.max()))
        inc = torch.from_numpy(energy)
        random = torch.Generator().manual_seed(seed)
        held = torch.rand(len(inc), generator=random) < self.validation
        if not bool(held.any()) or bool(held.all()):
            raise InputError(f"{len(inc)} showers are too few to train and to validate; give more.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build()
        first = slice(0, max(4 * ROWS, NUMBERS // geometry.voxels))
        self.shares_.fit(torch.from_numpy(np.asarray(showers[first])), inc[first])
        parts = [
            self.shares_(torch.from_numpy(np.asarray(showers[i : i + ROWS])), energies, random)
            for i, energies in zip(range(0, len(inc), ROWS), inc.split(ROWS), strict=True)
        ]
        a, x = (torch.cat(column) for column in zip(*parts, strict=True))
        common = held, folder, resume, progress
        self.history_ = {}
        if self.layers_ is not None:
            self.history_["layers"] = self._train(
                "layers", self.layers_, a, _log_gev(inc), self.layers, *common
            )
        self.history_["voxels"] = self._train(
            "voxels", self.voxels_, x, self.shares_.conditions(a, inc), self.voxels, *common
        )
        return self

    def _train(
        self,
        title: str,
        model: Generator,
        x: Tensor,
        context: Tensor,
        settings: Training,
        held: Tensor,
        folder: str | Path,
        resume: bool,
        progress: bool,
    ) -> list[Epoch]:
        """Train one step on the showers that are not `held` out, with the best epoch of those."""
        model.fit_scaling(x[~held], context[~held])
        if model is self.voxels_:
            # Voxel variables are standard normal already.
            model.scaling.mean.zero_()
            model.scaling.std.fill_(1.0)
        data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), context)
        train, validation = data.split(held)
        options: dict[str, Any] = {
            "folder": Path(folder) / title,
            "seed": self.seed_,
            "resume": resume,
            "title": title,
            "progress": progress,
        }
        schedule = GanSchedule(discriminator_steps=CRITIC_STEPS)
        return fit_generator(model, train, validation, settings, schedule=schedule, **options)

    def sample(self, incident: ArrayLike, *, seed: int = 0, outside: bool = False) -> Floats:
        """Draw a shower (V,) [MeV] for each incident energy (N,) [MeV], (N, V) float32.

        Raises `InputError` for an energy more than 5% outside the trained range, unless `outside`
        is allowed.
        """
        if not hasattr(self, "voxels_"):
            raise InputError("the surrogate is not fitted; call fit or load a fitted one.")
        energy = _incident(incident)
        low, high = self.range_
        beyond = (energy < low / MARGIN) | (energy > high * MARGIN)
        if beyond.any() and not outside:
            raise InputError(
                f"an incident energy of {energy[beyond][0]:g} MeV is outside the trained range,"
                f" {low:g} to {high:g} MeV; give outside (--outside) to extrapolate."
            )
        random = torch.Generator().manual_seed(seed)
        found = np.empty((len(energy), self.geometry_.voxels), dtype=np.float32)
        start = 0
        with torch.no_grad():
            for piece in torch.from_numpy(energy).split(rows_at_once(self.noise_size, ROWS)):
                noise = torch.randn(len(piece), self.noise_size, generator=random)
                found[start : start + len(piece)] = self.decode(noise, piece).numpy()
                start += len(piece)
        return found

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
            a = self.layers_.decode(a, _log_gev(incident))
        x = self.voxels_.decode(noise[:, size:], self.shares_.conditions(a, incident))
        showers: Tensor = self.shares_.showers(a, x, incident)
        return showers

    def _build(self) -> None:
        layers, voxels = len(self.geometry_.layers), self.geometry_.voxels
        layered = self.layer_generator is not None
        context = 1 + 2 * layers if layered else 1
        options = dict(self.options or {})
        if self.network is not None:
            if self.network not in NETWORKS:
                raise InputError(
                    f"no network of showers is called '{self.network}'; choose from"
                    f" {', '.join(NETWORKS)}."
                )
            make = NETWORKS[self.network]
            options["network"] = make(self.geometry_, context, **(self.network_options or {}))
        known = signature(GENERATORS.load(self.generator)).parameters
        if self.rotations and "symmetry" in known:
            options["symmetry"] = rotations(self.geometry_)
        shares: type[ShowerVariables | IncidentVariables] = (
            ShowerVariables if layered else IncidentVariables
        )
        self.shares_ = shares(self.geometry_, self.threshold)
        self.layers_: Generator | None = None
        if self.layer_generator is not None:
            self.layers_ = GENERATORS.build(
                self.layer_generator, features=layers, context=1, **(self.layer_options or {})
            )
        self.voxels_: Generator = GENERATORS.build(
            self.generator, features=voxels, context=context, **options
        )

    # What follows saves and restores.

    def _parameters(self) -> dict[str, Any]:
        return {
            **super()._parameters(),
            "layers": asdict(self.layers),
            "voxels": asdict(self.voxels),
        }

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        trainings = {name: Training(**parameters[name]) for name in ("layers", "voxels")}
        return super()._from_parameters({**parameters, **trainings})

    def _parts(self) -> dict[str, nn.Module]:
        parts: dict[str, nn.Module] = {"voxels": self.voxels_, "shares": self.shares_}
        return parts if self.layers_ is None else {"layers": self.layers_, **parts}

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": value
            for part, model in self._parts().items()
            for name, value in model.state_dict().items()
        }

    def _state(self) -> dict[str, Any]:
        return {
            "geometry": asdict(self.geometry_),
            "range": list(self.range_),
            "seed": self.seed_,
            "history": {k: [asdict(epoch) for epoch in v] for k, v in self.history_.items()},
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        geometry = state["geometry"]
        layers = tuple(
            Layer(layer["number"], tuple(layer["r_edges"]), layer["angles"])
            for layer in geometry["layers"]
        )
        self.geometry_ = Geometry(geometry["name"], layers, geometry["pid"])
        self.range_ = tuple(state["range"])
        self.seed_ = state["seed"]
        self.history_ = {k: [Epoch(**e) for e in v] for k, v in state["history"].items()}
        self._build()
        for part, model in self._parts().items():
            prefix = f"{part}."
            own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            model.load_state_dict(own)
            model.eval()


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


def _log_gev(incident: Tensor) -> Tensor:
    return (incident / 1e3).log()[:, None]
