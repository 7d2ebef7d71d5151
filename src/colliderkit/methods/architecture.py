"""Architecture of a model of jets: a representation of the jet and the network that sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events import observables as substructure
from colliderkit.events.energyflow import EnergyFlow
from colliderkit.events.ragged import Ragged, Spool
from colliderkit.events.representations import REPRESENTATIONS
from colliderkit.events.schema import CONSTITUENTS, FOURVECTOR, check_jets
from colliderkit.events.sets import FEATURES, LOG_FEATURES, RELATIVE_FEATURES
from colliderkit.events.tables import as_table
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.training.batches import Dataset

__all__ = ["Architecture", "Inputs", "fit_representation"]


@dataclass(frozen=True)
class Architecture:
    """Choose a network and the representation that it takes.

    - `network`: a name of `colliderkit.networks.NETWORKS`, with its `options`;
    - `features`: per-particle features of networks on sets and sequences: names of
      `events.sets.FEATURES` or of further constituent columns; None takes (z, deta, dphi) for
      "pfn" and "efn" as published, and `events.sets.LOG_FEATURES` for the others. Of networks
      on tables, columns with a number an event, in place of `observables`;
    - `representation`: a name of `events.representations.REPRESENTATIONS`, None for the network's
      own, with its keywords `represent`;
    - `observables`: the columns of networks on tables: a preset or names of
      `events.observables`, or of the columns of a table that is given as one.
    """

    network: str
    options: Mapping[str, Any] | None = None
    features: Sequence[str] | None = None
    representation: str | None = None
    represent: Mapping[str, Any] | None = None
    observables: str | Sequence[str] = "standard"

    @property
    def kind(self) -> str:
        """The name of the representation."""
        kind: str = self.representation or NETWORKS.load(self.network).representation
        return kind

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw inputs: columns of constituents, or observables."""
        if self.kind == "table":
            if self.features is not None:
                return tuple(self.features)
            preset = substructure.PRESETS.get(str(self.observables), self.observables)
            return tuple(preset)
        if self.kind in ("image", "efp"):
            return FOURVECTOR
        extra = [name for name in self._features() if name not in FEATURES]
        order = (self.represent or {}).get("order", "pt")
        if order != "pt" and order not in extra:
            extra.append(order)
        return (*FOURVECTOR, *extra)

    def _features(self) -> tuple[str, ...]:
        if self.features is not None:
            return tuple(self.features)
        return RELATIVE_FEATURES if self.network in ("pfn", "efn") else LOG_FEATURES

    def inputs(self, jets: ak.Array) -> Ragged | Tensor:
        """Return the network's raw inputs for a jet array: ragged columns, or a table.

        Raises `InputError` for jets without these columns or with a number that is not finite.
        """
        if self.kind == "table":
            return torch.from_numpy(self._table(jets))
        return Ragged.from_awkward(self.constituents(jets), self.columns)

    def constituents(self, jets: ak.Array) -> ak.Array:
        """Return the constituents of jets, checked to have the columns and finite numbers."""
        return check_jets(jets, "jets", self.columns)[CONSTITUENTS]

    def _table(self, jets: ak.Array) -> NDArray[np.floating[Any]]:
        """Return the observables of jets, or the columns of what has no constituents, (N, C)."""
        if CONSTITUENTS in jets.fields and self.features is None:
            return substructure.table(check_jets(jets, "jets"), self.observables)[0]
        for name in self.columns:
            if name not in jets.fields:
                raise InputError(
                    f"the events have no column '{name}'"
                    f"{' and no constituents' if self.features is None else ''}; they have"
                    f" {', '.join(jets.fields)}."
                )
        columns = [ak.to_numpy(jets[name]) for name in self.columns]
        return as_table(np.column_stack(columns), "the events", self.columns)

    def build(self, outputs: int, longest: int | None = None) -> Model:
        """Return a fresh model with this many outputs; torch's seed decides its weights.

        It sees the leading `longest` constituents of a jet, all if that is None.
        """
        kind, columns = self.kind, self.columns
        make = REPRESENTATIONS.load(kind)
        options = self.represent or {}
        if kind == "table":
            represent = make(len(columns), **options)
        elif kind == "efp":
            represent = make(**options)
        elif kind == "image":
            represent = make(columns, **options)
        else:
            represent = make(columns, self._features(), **options)
        network = NETWORKS.build(
            self.network,
            inputs=len(columns) if kind == "table" else represent.size,
            outputs=outputs,
            **(self.options or {}),
        )
        return Model(represent, network, longest)


class Inputs:
    """Gather a network's raw inputs chunk by chunk, in memory or in a mapped file.

    With a `folder` the constituents are written there as they come (`events.ragged.Spool`). A
    table is small and stays in memory.
    """

    def __init__(self, architecture: Architecture, folder: Path | None = None) -> None:
        self.architecture = architecture
        self.parts: list[Any] = []
        self.spool: Spool | None = None
        if folder is not None and architecture.kind != "table":
            self.spool = Spool(architecture.columns, folder)

    def append(self, jets: ak.Array) -> None:
        """Append the inputs of the next jets; raise `InputError` as `Architecture.inputs` does."""
        if self.spool is None:
            self.parts.append(self.architecture.inputs(jets))
        else:
            self.spool.append(self.architecture.constituents(jets))

    def whole(self) -> Ragged | Tensor:
        """Return the inputs of all jets that were taken."""
        if self.spool is not None:
            return self.spool.mapped()
        if len(self.parts) == 1:
            only: Ragged | Tensor = self.parts[0]
            return only
        if self.architecture.kind == "table":
            return torch.cat(self.parts)
        return Ragged.joined(self.parts)


def fit_representation(
    model: Model, train: Dataset, validation: Dataset
) -> tuple[Model, Dataset, Dataset]:
    """Fit shifts and scales to the training jets; return what is left to train, and on what.

    Energy-flow polynomials take longer than the network on them and do not change: they are
    computed once.
    """
    represent: Any = model.representation
    if not isinstance(represent, EnergyFlow):
        represent.fit(_sample(train, model.longest))
        return model, train, validation
    tables = [
        torch.cat(
            [
                represent.polynomials(*_padded(data, events, model.longest))
                for events in _pieces(data)
            ]
        )
        for data in (train, validation)
    ]
    represent.scaling.fit(tables[0])
    train, validation = (
        Dataset(table, data.target, data.weight, data.context)
        for table, data in zip(tables, (train, validation), strict=True)
    )
    return Model(represent.scaling, model.network), train, validation


def _pieces(data: Dataset) -> Sequence[Tensor]:
    return torch.arange(len(data)).split(512)


def _padded(data: Dataset, events: Tensor, longest: int | None = None) -> tuple[Tensor, Tensor]:
    batch = data.batch(events, longest)
    assert batch.mask is not None
    return batch.values, batch.mask


def _sample(data: Dataset, longest: int | None, most: int = 20_000) -> Tensor:
    """Return the rows, of particles or of a table, of the first `most` events."""
    first = data.at(torch.arange(min(len(data), most)))
    if isinstance(first.inputs, Tensor):
        return first.inputs
    seen = (_padded(first, events, longest) for events in _pieces(first))
    return torch.cat([values[mask] for values, mask in seen])
