"""A surrogate of a shower simulation: incident energy in, energies in the voxels out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Layer
from colliderkit.events.calorimeter.shares import LayerShares
from colliderkit.generators.flow import ConditionalFlow, negative_log_likelihood
from colliderkit.generators.flow_matching import FlowMatching
from colliderkit.methods.method import Method
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import Epoch, Training, fit

__all__ = ["ShowerSurrogate"]

Floats = NDArray[np.float32]
LAYERS = Training(epochs=40, batch_size=512, learning_rate=2e-3, schedule="cosine")
VOXELS = Training(epochs=100, batch_size=256, learning_rate=1e-3, schedule="cosine")
GEV = 1e3  # MeV


class ShowerSurrogate(Method):
    """Learn p(shower | E_inc) in two steps: the layers' energies, then the shares within layers.

    Layer variables by a spline flow given ln E_inc, voxel variables by flow matching given both
    (see `events.calorimeter.shares`): the energy of each layer is that of the first step exactly.

    Args:
        threshold: energies [MeV] below are zero, in training and in what is generated.
        width, blocks: of the velocity's network.
        steps: midpoint steps of a sample, two calls of the network each.
        transforms, bins, hidden: of the layers' flow.
        rotations: use that showers look alike under rotations around their axis, where all layers
            that are cut in angle have equally many cuts.
        validation: the share of the showers that chooses the epoch.
        layers, voxels: training of the two steps.

    After `fit`: `layers_`, `voxels_`, `geometry_`, `range_` of the incident energies [MeV].
    """

    name: ClassVar[str] = "shower-surrogate"

    def __init__(
        self,
        *,
        threshold: float = 0.1,
        width: int = 512,
        blocks: int = 4,
        steps: int = 8,
        transforms: int = 4,
        bins: int = 12,
        hidden: Sequence[int] = (64, 64),
        rotations: bool = True,
        validation: float = 0.1,
        layers: Training = LAYERS,
        voxels: Training = VOXELS,
    ) -> None:
        self.threshold = threshold
        self.width = width
        self.blocks = blocks
        self.steps = steps
        self.transforms = transforms
        self.bins = bins
        self.hidden = hidden
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
        energy = _incident(incident)
        geometry.check(showers, "showers")
        if len(energy) != len(showers):
            raise InputError(f"{len(energy)} incident energies for {len(showers)} showers.")
        self.geometry_, self.seed_ = geometry, seed
        self.range_ = (float(energy.min()), float(energy.max()))
        torch.manual_seed(seed)
        self._build()
        random = torch.Generator().manual_seed(seed)
        inc = torch.from_numpy(energy)
        parts = [
            self.shares_(torch.from_numpy(showers[rows]), inc[rows], random)
            for rows in np.array_split(np.arange(len(showers)), max(1, len(showers) // 5000))
        ]
        a, x = (torch.cat(column) for column in zip(*parts, strict=True))
        condition = _log_gev(inc)
        held = torch.rand(len(inc), generator=random) < self.validation
        if not bool(held.any()) or bool(held.all()):
            raise InputError(f"{len(inc)} showers are too few to train and to validate; give more.")
        self.layers_.fit_scaling(a, condition)
        self.voxels_.fit_scaling(x, torch.cat([condition, a], 1))
        self.history_ = {}
        for title, model, data, settings in (
            ("layers", self.layers_, Dataset(torch.cat([a, condition], 1), a, inc), self.layers),
            ("voxels", self.voxels_, Dataset(x, a, inc, torch.cat([condition, a], 1)), self.voxels),
        ):
            data = Dataset(data.inputs, torch.zeros(len(inc)), torch.ones(len(inc)), data.context)
            self.history_[title] = fit(
                model,
                negative_log_likelihood,
                data.at(torch.nonzero(~held)[:, 0]),
                data.at(torch.nonzero(held)[:, 0]),
                settings,
                folder=Path(folder) / title,
                seed=seed,
                resume=resume,
                title=title,
                progress=progress,
            )
        return self

    def sample(
        self, incident: ArrayLike, *, seed: int = 0, steps: int | None = None, outside: bool = False
    ) -> Floats:
        """Draw a shower (V,) [MeV] for each incident energy (N,) [MeV], (N, V) float32.

        Raises `InputError` for an energy outside the trained range, unless `outside` is allowed.
        """
        if not hasattr(self, "voxels_"):
            raise InputError("the surrogate is not fitted; call fit or load a fitted one.")
        energy = _incident(incident)
        low, high = self.range_
        beyond = (energy < low * (1 - 1e-6)) | (energy > high * (1 + 1e-6))
        if beyond.any() and not outside:
            raise InputError(
                f"an incident energy of {energy[beyond][0]:g} MeV is outside the trained range,"
                f" {low:g} to {high:g} MeV; give outside=True to extrapolate."
            )
        inc = torch.from_numpy(energy)
        condition = _log_gev(inc)
        a = self.layers_.sample(condition, seed=seed)
        context = torch.cat([condition, a], 1)
        x = self.voxels_.sample(context, steps=steps or self.steps, seed=seed + 1)
        with torch.no_grad():
            return self.shares_.showers(a, x, inc).numpy()

    def _build(self) -> None:
        layers = len(self.geometry_.layers)
        self.shares_ = LayerShares(self.geometry_, self.threshold)
        self.layers_ = ConditionalFlow(
            layers, 1, transforms=self.transforms, bins=self.bins, hidden=self.hidden
        )
        self.voxels_ = FlowMatching(
            self.geometry_.voxels,
            1 + layers,
            width=self.width,
            blocks=self.blocks,
            symmetry=rotations(self.geometry_) if self.rotations else None,
        )

    # What follows saves and restores.

    def _parameters(self) -> dict[str, Any]:
        parameters = self.get_params(deep=False)
        return {
            **parameters,
            "layers": asdict(self.layers),
            "voxels": asdict(self.voxels),
        }

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        trainings = {name: Training(**parameters[name]) for name in ("layers", "voxels")}
        return cls(**{**parameters, **trainings})

    def _parts(self) -> dict[str, nn.Module]:
        return {"layers": self.layers_, "voxels": self.voxels_}

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

    None where layers that are cut in angle have different numbers of cuts.
    """
    cuts = {layer.angles for layer in geometry.layers} - {1}
    if len(cuts) != 1:
        return None
    (angles,) = cuts
    turns = []
    for turn in range(angles):
        parts = []
        for start, layer in zip(geometry.starts, geometry.layers, strict=False):
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
    return (incident / GEV).log()[:, None]
