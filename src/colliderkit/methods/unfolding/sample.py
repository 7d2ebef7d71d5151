"""What an unfolding starts from: measured events, and a simulation at truth and detector level."""

from dataclasses import dataclass, replace
from typing import Any, Self

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, check_jets
from colliderkit.events.tables import as_table, as_weight, event_numbers

__all__ = ["UnfoldingSample"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class UnfoldingSample:
    """Measured events beside simulated ones, which have a truth and what the detector saw of it.

    - `data` (D, C), `data_weight` (D,): the measured events, background among them with negative
      weights;
    - `reco` (N, C), `truth` (N, T), `weight` (N,): the simulation at both levels. Each level is a
      table or, for all particles, a jet array (see `colliderkit.events.schema`);
    - `pass_reco`, `pass_truth` (N,): where an event is seen; misses are not seen by the detector,
      fakes are seen by it alone;
    - `event` (N,), `data_event` (D,): numbers that the split and the bootstrap go by.
    """

    data: Any
    data_weight: Floats
    reco: Any
    truth: Any
    weight: Floats
    pass_reco: Bools
    pass_truth: Bools
    event: NDArray[np.int64]
    data_event: NDArray[np.int64]

    @classmethod
    def checked(
        cls,
        data: Any,
        reco: Any,
        truth: Any,
        *,
        pass_reco: ArrayLike | None = None,
        pass_truth: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        data_weight: ArrayLike | None = None,
        background: Any = None,
        background_weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        data_event: ArrayLike | None = None,
    ) -> Self:
        """Fill in what is not given and raise `InputError` for what cannot be unfolded."""
        if len(reco) != len(truth):
            raise InputError(
                f"the simulation has {len(truth)} events at truth level and {len(reco)} at detector"
                " level; give one row an event at both."
            )
        n = len(truth)
        passed = [
            np.ones(n, dtype=bool) if flag is None else np.asarray(flag, dtype=bool)
            for flag in (pass_reco, pass_truth)
        ]
        for flag, name in zip(passed, ("pass_reco", "pass_truth"), strict=True):
            if flag.shape != (n,):
                raise InputError(f"{name} has {flag.size} values for {n} simulated events.")
        measured = _level(data, "data")
        seen, true = _level(reco, "reco", passed[0]), _level(truth, "truth", passed[1])
        _check_alike(measured, seen, "data")
        w = as_weight(weight, n, "simulation")
        dw = as_weight(data_weight, len(measured), "data")
        numbers = event_numbers(data_event, len(measured), "data")
        if background is not None:
            other = _level(background, "background")
            _check_alike(other, seen, "background")
            bw = as_weight(background_weight, len(other), "background")
            if bw.sum() >= dw.sum():
                raise InputError(
                    f"the background, {bw.sum():.6g}, is as large as the data, {dw.sum():.6g}:"
                    " nothing is left to unfold."
                )
            join = ak.concatenate if isinstance(measured, ak.Array) else np.concatenate
            measured, dw = join([measured, other]), np.concatenate([dw, -bw])
            # Numbers of their own, so that the bootstrap moves them alone.
            numbers = np.concatenate([numbers, -1 - np.arange(len(other))])
        both = passed[0] & passed[1]
        fakes = passed[0] & ~passed[1]
        if not both.any():
            raise InputError("no simulated event passes at both levels; nothing links the two.")
        # As a share of the simulation: its norm is not that of the data.
        if w[fakes].sum() >= w[passed[0]].sum():
            raise InputError(
                f"the fakes, {w[fakes].sum():.6g}, are as many as the events seen,"
                f" {w[passed[0]].sum():.6g}; check pass_truth or the weights."
            )
        events = event_numbers(event, n, "simulation")
        return cls(measured, dw, seen, true, w, passed[0], passed[1], events, numbers)

    @classmethod
    def of_pairs(
        cls,
        data: ak.Array,
        simulation: ak.Array,
        *,
        data_weight: ArrayLike | None = None,
        data_event: ArrayLike | None = None,
        background: ak.Array | None = None,
        background_weight: ArrayLike | None = None,
    ) -> Self:
        """Check a sample of all particles of jets: `data`, a jet array, `simulation`, a paired one.

        The simulation holds its passes, weights and numbers; see `colliderkit.events.pairs`.
        """
        return cls.checked(
            data[[CONSTITUENTS]],
            simulation["reco"][[CONSTITUENTS]],
            simulation["truth"][[CONSTITUENTS]],
            pass_reco=np.asarray(simulation["pass_reco"]),
            pass_truth=np.asarray(simulation["pass_truth"]),
            weight=np.asarray(simulation["weight"]),
            event=np.asarray(simulation["event"]),
            data_weight=data_weight,
            data_event=data_event,
            background=None if background is None else background[[CONSTITUENTS]],
            background_weight=background_weight,
        )

    @property
    def both(self) -> Bools:
        """Events seen at both levels."""
        return self.pass_reco & self.pass_truth

    @property
    def passes(self) -> dict[str, int]:
        """How many simulated events are "seen and true", "missed" and "fakes"."""
        missed, fakes = self.pass_truth & ~self.pass_reco, self.pass_reco & ~self.pass_truth
        masks = {"seen and true": self.both, "missed": missed, "fakes": fakes}
        return {name: int(mask.sum()) for name, mask in masks.items()}

    def observable(self, column: int) -> Self:
        """Return the sample of one observable, the same column of data, reco and truth."""
        levels = {name: getattr(self, name) for name in ("data", "reco", "truth")}
        return replace(self, **{n: level[:, [column]] for n, level in levels.items()})


def _level(values: Any, what: str, passed: Bools | None = None) -> Any:
    """Return a table (N, C) float64, 0 where an event does not pass, or the jet array it is."""
    if isinstance(values, ak.Array) and values.fields:
        return check_jets(values, what)
    table = np.asarray(values, dtype=np.float64)
    if passed is not None and table.ndim in (1, 2):
        # What does not pass is never looked at; zeros keep it from spreading.
        table = np.where(passed if table.ndim == 1 else passed[:, None], table, 0.0)
    table = as_table(table, what)
    return table


def _check_alike(measured: Any, seen: Any, what: str) -> None:
    if isinstance(measured, ak.Array) != isinstance(seen, ak.Array):
        raise InputError(f"of {what} and reco one is jets and one a table; give the same for both.")
    if not isinstance(seen, ak.Array) and measured.shape[1] != seen.shape[1]:
        raise InputError(
            f"{what} has {measured.shape[1]} observables, reco {seen.shape[1]}; give the same."
        )
