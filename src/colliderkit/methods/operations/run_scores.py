"""Certification by run-wise scores of a user's own: p-values by good runs of the past."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.monitors import check_order
from colliderkit.events.tables import Floats, as_table
from colliderkit.methods.method import Method
from colliderkit.methods.operations.joint import Combination, Joint

__all__ = ["RunScores"]

Sides = Literal["both", "high", "low"]


class RunScores(Method):
    """Flag runs by their scores, at a joint rate of false alarms that good runs calibrate.

    A score may be what any monitor gives a run: a chi2, a mean, an efficiency. Each score, from
    each side, is a test; its p-value is its rank among good runs, and all are combined exactly
    (see `Joint`). Nothing is learned from bad runs.

    Args:
        scores: names of the columns.
        sides: on which side of good runs bad ones are: "high", "low" or "both".
        rate: the share of good runs that is flagged.
        combination: of the tests: the "smallest" p-value, or "fisher".

    After `fit`: `joint_` (`Joint`), and `first_`, `last_`, the runs that calibrate.
    """

    name: ClassVar[str] = "run-scores"

    joint_: Joint
    scores_: list[str]
    first_: int
    last_: int

    def __init__(
        self,
        *,
        scores: Sequence[str] | None = None,
        sides: Sides = "both",
        rate: float = 0.05,
        combination: Combination = "smallest",
    ) -> None:
        self.scores = scores
        self.sides = sides
        self.rate = rate
        self.combination = combination

    def fit(
        self,
        values: ArrayLike,
        *,
        run: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Calibrate on the scores (N, C) of good runs, and return self.

        `run` (N,) are their numbers, rising; 0, 1, ... if not given. Raises `InputError` for scores
        that are not finite, too few runs for the rate, an unknown side and weights: a p-value
        counts runs.
        """
        self._begin(seed=seed, folder=folder, resume=resume, values=values, run=run)
        if weight is not None:
            raise InputError("weights are not taken: a p-value counts good runs; leave them out.")
        if self.sides not in ("both", "high", "low"):
            raise InputError(f"sides is '{self.sides}'; choose one of both, high, low.")
        table = as_table(values, "the scores", tuple(self.scores or ()))
        numbers = np.arange(len(table)) if run is None else np.asarray(run, dtype=np.int64)
        check_order(numbers, None, "the scores")
        names = list(self.scores or [f"score {i}" for i in range(table.shape[1])])
        tests = [f"{name} {side}" for name in names for side in self._sides()]
        self.joint_ = Joint(tests, self._statistics(table), self.rate, self.combination)
        self.scores_ = names
        self.first_, self.last_ = int(numbers[0]), int(numbers[-1])
        return self

    def p_values(self, values: ArrayLike) -> Floats:
        """Return the joint p-value of each run of scores (N, C), (N,)."""
        joint = self.joint_
        return joint.combined(self._statistics(self._table(values)))

    def tests(self, values: ArrayLike) -> Floats:
        """Return the p-values of each test of `joint_.names`, (N, m)."""
        joint = self.joint_
        return joint.each(self._statistics(self._table(values)))

    def flags(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return which runs are flagged, (N,): those with a joint p-value of at most the rate."""
        flagged: NDArray[np.bool_] = self.p_values(values) <= self.rate
        return flagged

    def _table(self, values: ArrayLike) -> Floats:
        return as_table(values, "the scores", tuple(self.scores_))

    def _sides(self) -> tuple[str, ...]:
        return ("high", "low") if self.sides == "both" else (self.sides,)

    def _statistics(self, table: Floats) -> Floats:
        signs = np.array([1.0 if side == "high" else -1.0 for side in self._sides()])
        return (table[:, :, None] * signs).reshape(len(table), -1)
