"""Semi-supervised search: densities of the background and of a few simulated signals (QUAK)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table, as_table
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.methods.method import Method
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.seeds import derive
from colliderkit.training.settings import Training

__all__ = ["SemiSupervised"]

BACKGROUND = "background"
PIECE = 4096  # events whose densities are computed at a time


class SemiSupervised(Method):
    """Place events by their densities under background and under a few simulated signals.

    Quasi-anomalous knowledge (QUAK, 2011.03550): a density is learned of the background and of
    each of S signals that the search shall be good at, all by the same flow. An event lies at
    -ln p of each (N, 1 + S); one that is unlikely as background and likely as a signal is
    interesting. The score of an event is a line through that space,

        -ln p_background(x) + reliance * ln 1/S sum_s p_s(x).

    With `reliance` 0 no signal is assumed, and the score depends on the coordinates; with 1 it
    is the likelihood ratio, the best for the mixture of the signals and no promise for others.

    Args:
        reliance: how much the simulated signals count, from 0 to 1.
        features: names of the columns of a table.
        options: keyword arguments of the flow (`generators.flow.ConditionalFlow`).
        validation: the share of the events that chooses the epoch of each density.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `densities_` by name, "background" first.
    """

    name: ClassVar[str] = "semi-supervised"
    resumable: ClassVar[bool] = True

    densities_: dict[str, ConditionalGenerator]
    columns_: int

    def __init__(
        self,
        *,
        reliance: float = 0.5,
        features: Sequence[str] | None = None,
        options: dict[str, Any] | None = None,
        validation: float = 0.2,
        training: Training = Training(epochs=30, batch_size=256, learning_rate=2e-3),
    ) -> None:
        self.reliance = reliance
        self.features = features
        self.options = options
        self.validation = validation
        self.training = training

    def fit(
        self,
        background: ArrayLike,
        signals: Mapping[str, ArrayLike | Table],
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from a table of background (N, F) and one of each signal (M, F); return self.

        `weight` (N,), 0 or more, is of the background; signals with weights are given as `Table`.
        Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` without a
        signal, for tables of other columns and as `ConditionalGenerator` does.
        """
        samples = {name: _weighted(table) for name, table in signals.items()}
        values = {name: table for name, (table, _) in samples.items()}
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            background=background,
            signals=list(values.values()),
            weight=weight,
        )
        if not samples:
            raise InputError("signals are none; give one simulated signal or more.")
        if BACKGROUND in samples:
            raise InputError("a signal is called 'background'; give it another name.")
        first = as_table(background, "the background", self.features or ())
        self.columns_ = first.shape[1]
        for name, table in values.items():
            if np.ndim(table) != 2 or np.shape(table)[1] != self.columns_:
                raise InputError(
                    f"signal '{name}' has shape {np.shape(table)}, and the background"
                    f" {self.columns_} columns; give the same for all."
                )
        self.densities_ = {}
        for name, (table, own) in {BACKGROUND: (first, weight), **samples}.items():
            density = ConditionalGenerator(
                options=self.options, validation=self.validation, training=self.training
            )
            part = None if folder is None else Path(folder) / name
            self.densities_[name] = density.fit(
                table,
                weight=own,
                seed=derive(seed, name),
                folder=part,
                resume=resume and part is not None and part.exists(),
                progress=progress,
            )
        return self

    def space(self, events: ArrayLike) -> Floats:
        """Return -ln p of events (N, F) under background and each signal, (N, 1 + S)."""
        densities = self.densities_
        names = self.features or [f"column {i}" for i in range(self.columns_)]
        rows = torch.from_numpy(as_table(events, "the events", names))
        columns = []
        for density in densities.values():
            flow = density.generator_
            assert isinstance(flow, ConditionalFlow)
            flow.eval()
            with torch.no_grad():
                parts = [
                    flow.log_prob(piece, torch.zeros(len(piece), 1)) for piece in rows.split(PIECE)
                ]
            columns.append(-torch.cat(parts).double().numpy())
        return np.stack(columns, 1)

    def score(self, events: ArrayLike) -> Floats:
        """Return how interesting events are, (N,); higher is more so."""
        space = self.space(events)
        known = np.logaddexp.reduce(-space[:, 1:], axis=1) - np.log(space.shape[1] - 1)
        score: Floats = space[:, 0] + self.reliance * known
        return score


def _weighted(table: ArrayLike | Table) -> tuple[Any, Any]:
    """Return the values of a signal and its weights, None where it has none."""
    return (table.values, table.weight) if isinstance(table, Table) else (table, None)
