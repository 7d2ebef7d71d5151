"""Detect objects in images of whole events by a convolutional network, in one pass."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.calorimeter.hits import offsets_of
from colliderkit.events.event_objects import CHANNELS, KINDS, EventObjects, EventTowers
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, Ints, as_weight, validation_mask
from colliderkit.losses.centers import CenterLoss
from colliderkit.methods.method import Method
from colliderkit.networks.center_map import CELL, CenterMap, around
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["ObjectDetector", "ObjectMethod"]

COLUMNS = ("place", *CHANNELS)
PIECE = 128  # events that the network sees at a time


class ObjectMethod(Method):
    """Base of what finds jets, W bosons and top quarks in towers: `fit` on truth, then `predict`.

    `predict` returns `EventObjects`, in each event by falling largest score.
    """

    def predict(self, towers: EventTowers) -> EventObjects:
        """Return the objects that are found in events."""
        raise NotImplementedError

    def _checked(
        self, towers: EventTowers, objects: EventObjects
    ) -> tuple[EventTowers, EventObjects]:
        """Return what `fit` is given, checked."""
        towers, objects = towers.check(), objects.check()
        if len(towers) != len(objects):
            raise InputError(
                f"{len(towers)} events of towers and {len(objects)} of objects; give the same."
            )
        if not len(towers):
            raise InputError("there are no events; give some.")
        missing = [k for i, k in enumerate(KINDS) if not (objects.kind == i).any()]
        if missing:
            raise InputError(
                f"no object is a {missing[0]}; give events with objects of {', '.join(KINDS)}."
            )
        return towers, objects


class ObjectDetector(ObjectMethod):
    """Detect jets, W bosons and top quarks in the image of an event: place, pT, mass and kind.

    The towers of an event become an image of azimuth and eta, and a fully convolutional network
    (`networks.center_map`) gives in each cell whether an object has its centre there, of which
    kind, where in the cell, its pT and its mass: detection by centres (1904.07850), as jets at a
    trigger have been detected by boxes (2105.05785). All is one pass, without seeds, clustering or
    calibration. An object is a cell whose largest heat of all kinds is the largest within half a
    radius; its scores are its heats. An epoch has each event four times: as it is, and mirrored in
    eta, in azimuth and in both, the last two turned by one tower, which the maps do not follow.

    Args:
        towers: of the image, around the beams and along eta; both even.
        eta: the largest |eta| of the image.
        radius: of the objects, in eta and phi.
        width: channels of the network.
        threshold: of the largest score of an object.
        most: objects of an event.
        validation: the share of the events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, and `history_` of "network".
    """

    name: ClassVar[str] = "object-detection"
    resumable: ClassVar[bool] = True

    network_: CenterMap
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        towers: tuple[int, int] = (64, 50),
        eta: float = 2.5,
        radius: float = 1.0,
        width: int = 32,
        threshold: float = 0.05,
        most: int = 10,
        validation: float = 0.1,
        training: Training = Training(epochs=5, batch_size=16, learning_rate=3e-3),
    ) -> None:
        self.towers = towers
        self.eta = eta
        self.radius = radius
        self.width = width
        self.threshold = threshold
        self.most = most
        self.validation = validation
        self.training = training

    def fit(
        self,
        towers: EventTowers,
        objects: EventObjects,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on towers and true objects of the same events, and return self.

        `weight` (N,) of events must not be negative. Checkpoints go to `folder`, from which
        `resume` goes on. Raises `InputError` for data that are damaged, a kind without any object,
        and an image that cells of two towers do not part.
        """
        self._begin(
            seed=seed, folder=folder, resume=resume, towers=towers, objects=objects, weight=weight
        )
        towers, objects = self._checked(towers, objects)
        if len(self.towers) != 2 or any(n % CELL for n in self.towers):
            raise InputError(f"towers are {list(self.towers)}; give two even numbers.")
        weights = as_weight(
            weight, len(towers), "the events", negative="the loss has no minimum with it"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        numbers = np.arange(len(towers))
        held = validation_mask(numbers, self.validation, derive(seed, "validation"))
        share = weights / weights.mean()
        some = weights > 0
        history = fit(
            _OfTowers(self.network_, self.towers),
            CenterLoss(len(KINDS)),
            self._data(towers, objects, share, np.flatnonzero(some & ~held), mirrored=True),
            self._data(towers, objects, share, np.flatnonzero(some & held)),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title="object detection",
            progress=progress,
        )
        self.history_ = {"network": history}
        return self

    def predict(self, towers: EventTowers) -> EventObjects:
        """Return the objects that are found in events, in each by falling largest score."""
        network, inputs = self.network_, self.inputs(towers.check())
        model = _OfTowers(network, self.towers)
        model.eval()
        parts = []
        with torch.inference_mode():
            for events in torch.arange(len(inputs)).split(PIECE):
                parts.append(self.read(model(*inputs.padded(events))))
        return EventObjects.joined(parts) if parts else EventObjects.none(0)

    def images(self, towers: EventTowers) -> Tensor:
        """Return images (N, 3, R, C) [GeV, transverse] of events."""
        values, mask = self.inputs(towers).padded(torch.arange(len(towers)))
        return image_of(values, mask, self.towers)

    def read(self, maps: Tensor) -> EventObjects:
        """Return the objects of maps (N, 7, R, C): local maxima of the heat, `most` of an event."""
        heat = maps[:, : len(KINDS)].sigmoid()
        best = heat.amax(1, keepdim=True)
        columns = best.shape[3]
        step = self._steps()
        reach = [int(self.radius / 2 / side) for side in step]
        wide = functional.pad(around(best, reach[0]), (reach[1], reach[1]), value=0.0)
        peak = functional.max_pool2d(wide, [2 * r + 1 for r in reach], stride=1)
        kept = torch.where((best == peak) & (best > self.threshold), best, 0.0).flatten(1)
        top, cell = kept.topk(min(self.most, kept.shape[1]), dim=1)
        event, rank = torch.nonzero(top > 0, as_tuple=True)
        at = cell[event, rank]
        row, column = at // columns, at % columns
        found = maps[event, :, row, column].double().numpy()
        score = heat[event, :, row, column].double().numpy()
        kinds = len(KINDS)
        phi = (row.numpy() + 0.5 + found[:, kinds]) * step[0] - np.pi
        return EventObjects(
            offsets_of(np.bincount(event.numpy(), minlength=len(maps))),
            np.exp(found[:, kinds + 2]),
            (column.numpy() + 0.5 + found[:, kinds + 1]) * step[1] - self.eta,
            np.remainder(phi + np.pi, 2 * np.pi) - np.pi,
            np.exp(found[:, kinds + 3]),
            score.argmax(1).astype(np.int64),
            score,
        )

    def inputs(self, towers: EventTowers) -> Ragged:
        """Return the towers within the image, by `COLUMNS`: the place of each in it, energies."""
        rows, columns = self.towers
        row = np.floor((towers.phi + np.pi) / (2 * np.pi) * rows).astype(np.int64) % rows
        column = np.floor((towers.eta + self.eta) / (2 * self.eta) * columns).astype(np.int64)
        inside = (column >= 0) & (column < columns)
        lengths = np.bincount(towers.event[inside], minlength=len(towers))
        place = (row * columns + column)[inside]
        energies = [getattr(towers, name)[inside] for name in CHANNELS]
        values = np.stack([place, *energies], axis=1).astype(np.float32)
        ends = torch.from_numpy(offsets_of(lengths))
        return Ragged(torch.from_numpy(values), ends[:-1], torch.from_numpy(lengths), COLUMNS)

    def targets(self, objects: EventObjects) -> Tensor:
        """Return true objects as `losses.centers` takes them, (N, 5 M) float32."""
        counts = np.diff(objects.offsets)
        target = np.full((len(objects), max(int(counts.max(initial=0)), 1), 5), -1.0, np.float32)
        step = self._steps()
        place: Ints = np.arange(len(objects.pt)) - objects.offsets[objects.event]
        turn = np.remainder(objects.phi + np.pi, 2 * np.pi) / step[0]
        columns: list[Floats] = [
            objects.kind.astype(np.float64), turn, (objects.eta + self.eta) / step[1],
            np.log(objects.pt),
            np.log(np.where(objects.mass > 1.0, objects.mass, np.nan)),
        ]  # fmt: skip
        target[objects.event, place] = np.stack(columns, axis=1)
        return torch.from_numpy(target.reshape(len(objects), -1))

    def _data(
        self, towers: EventTowers, objects: EventObjects, weight: Floats, events: Ints,
        *, mirrored: bool = False,
    ) -> Dataset:  # fmt: skip
        """Return some events as the network is trained on them, once or in each mirror."""
        seen, true = towers.at(events), objects.at(events)
        step = 2 * np.pi / self.towers[0]
        ways = ((1, 1, 0.0), (-1, 1, 0.0), (1, -1, step), (-1, -1, step))[: 4 if mirrored else 1]
        both = [tuple(_mirrored(each, *way) for each in (seen, true)) for way in ways]
        many = EventTowers.joined([one for one, _ in both])
        return Dataset(
            self.inputs(many),
            self.targets(EventObjects.joined([other for _, other in both])),
            torch.from_numpy(np.tile(weight[events], len(ways)).astype(np.float32)),
        )

    def _steps(self) -> tuple[float, float]:
        """The sides of a cell of the maps, in phi and in eta."""
        rows, columns = self.towers
        return 2 * np.pi / rows * CELL, 2 * self.eta / columns * CELL

    def _rebuild(self) -> None:
        rows, columns = self.towers
        self.network_ = CenterMap(
            rows=rows, columns=columns, eta=self.eta, radius=self.radius, kinds=len(KINDS),
            width=self.width,
        )  # fmt: skip


def _mirrored(values: Any, eta: int, phi: int, turn: float) -> Any:
    """Return towers or objects with the signs of eta and phi, turned about the beams."""
    return replace(values, eta=eta * values.eta, phi=turned(phi * values.phi + turn))


class _OfTowers(nn.Module):
    """The network as it is trained: towers become images batch by batch."""

    def __init__(self, network: CenterMap, towers: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.towers = towers

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        maps: Tensor = self.network(image_of(values, mask, self.towers))
        return maps


def image_of(values: Tensor, mask: Tensor, towers: tuple[int, int]) -> Tensor:
    """Return images (B, 3, R, C) of padded towers (B, N, 4) by `COLUMNS`."""
    rows, columns = towers
    event, slot = torch.nonzero(mask, as_tuple=True)
    real = values[event, slot]
    place = event * (rows * columns) + real[:, 0].long()
    flat = real.new_zeros(len(values) * rows * columns, len(CHANNELS))
    flat.index_add_(0, place, real[:, 1:])
    # Channels stay last in memory: convolutions take two thirds of the time so.
    return flat.view(len(values), rows, columns, -1).permute(0, 3, 1, 2)
