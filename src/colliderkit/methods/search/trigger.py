"""Trigger: keep the events of an unlabelled stream that look most anomalous, at a given rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.events.tables import Floats, as_weight, event_numbers, validation_mask
from colliderkit.methods.method import Method
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["Trigger", "Update"]

LEAST = 10.0  # events above a threshold, for it to be one


@dataclass(frozen=True)
class Update:
    """Setting of a threshold.

    - `events`: of the stream that set it (their effective number, where they have weights);
    - `threshold`: events of a higher score are kept;
    - `error`: relative, of the rate that it will have, from counting the events above it;
    - `before` ± `before_error`: the rate in these events of the threshold until then; NaN for
      the first.
    """

    events: float
    threshold: float
    error: float
    before: float = float("nan")
    before_error: float = float("nan")


class Trigger(Method):
    """Keep the most anomalous events of a stream, as many a second as there is room for.

    The score is that of `method`, trained on a part of the stream, without labels: what a trigger
    sees is background. A threshold is the score of the event number q (n + 1) from above, among n
    events of which the score was not trained, with q = `target` / `input_rate`: the share of the
    stream above it is then q in the mean, whatever the distribution of the score. It fluctuates by
    the error of counting, 1 / sqrt(q n) of itself. `update` sets it anew, as the stream changes.

    Args:
        method: an unfitted method with ``fit(events, event=, weight=, ...)`` and ``score(events)``,
            higher for what is to be kept, such as an `Autoencoder`.
        target: rate of what is kept.
        input_rate: rate of the stream, in the same unit.
        held_out: the share of the events, by a hash of their number, that sets the threshold.

    After `fit`: `scorer_`, the fitted method; `threshold_`; `updates_`, each an `Update`.
    """

    name: ClassVar[str] = "trigger"
    resumable: ClassVar[bool] = True

    scorer_: Method
    threshold_: float
    updates_: list[Update]

    def __init__(
        self,
        method: Method,
        *,
        target: float = 1_000.0,
        input_rate: float = 1_000_000.0,
        held_out: float = 0.5,
    ) -> None:
        self.method = method
        self.target = target
        self.input_rate = input_rate
        self.held_out = held_out

    @property
    def share(self) -> float:
        """The share of the stream that is kept, target / input_rate."""
        return self.target / self.input_rate

    def fit(
        self,
        events: Any,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train the score on a part of the stream, set the threshold by the rest, return self.

        `events` are a table (N, C) or jets, as the score takes them, with numbers `event` (N,)
        int64. `weight` (N,), 0 or more, undoes a prescale. Checkpoints go to `folder`, from which
        `resume` goes on. Raises `InputError` as `update` and the fit of the score do.
        """
        self._begin(
            seed=seed, folder=folder, resume=resume, events=events, event=event, weight=weight
        )
        if not hasattr(type(self.method), "score"):
            raise InputError(
                f"{type(self.method).__name__} has no score of events; take an Autoencoder."
            )
        rows: Any = events if hasattr(events, "fields") else np.asarray(events)
        weights = self._weights(weight, rows)
        if event is None and "event" in getattr(rows, "fields", ()):
            event = rows["event"]
        numbers = event_numbers(event, len(rows), "the events")
        held = validation_mask(numbers, self.held_out, derive(seed, "threshold"))
        self._check_enough(weights[held])
        scorer: Any = clone(self.method)
        where = {}
        if scorer.resumable and folder is not None:
            where = {"folder": Path(folder) / "score", "resume": resume}
        self.scorer_ = scorer.fit(
            rows[~held],
            event=numbers[~held],
            weight=None if weight is None else weights[~held],
            seed=derive(seed, "score"),
            progress=progress,
            **where,
        )
        self.updates_ = []
        return self.update(rows[held], weight=weights[held])

    def update(self, events: Any, *, weight: ArrayLike | None = None) -> Self:
        """Set the threshold by these events of the stream, which no training has seen.

        Returns self. Raises `InputError` for a target that is not below the input rate, weights
        below 0, and events so few that not even `LEAST` are above the threshold.
        """
        weights = self._weights(weight, events)
        effective = self._check_enough(weights)
        score = self.score(events)
        before = self.rate_of(score, weights) if self.updates_ else None
        order = np.argsort(-score, kind="stable")
        # Up to and with each event, and one more of the mean weight in the sum of all.
        reached = np.cumsum(weights[order]) / (weights.sum() + weights.sum() / effective)
        place = int(np.abs(reached - self.share).argmin())
        self.threshold_ = float(score[order[place]])
        last = {} if before is None else {"before": before.value, "before_error": before.error}
        error = float((self.share * effective) ** -0.5)
        self.updates_ = [*self.updates_, Update(effective, self.threshold_, error, **last)]
        return self

    def score(self, events: Any) -> Floats:
        """Return how anomalous events are, (N,); higher is more so."""
        scorer: Any = self.scorer_
        score: Floats = np.asarray(scorer.score(events), dtype=np.float64)
        return score

    def keeps(self, events: Any) -> NDArray[np.bool_]:
        """Return which events are kept, (N,)."""
        kept: NDArray[np.bool_] = self.score(events) > self.threshold_
        return kept

    def rate(self, events: Any, *, weight: ArrayLike | None = None) -> Value:
        """Return the rate at which events like these of the stream are kept, ± its counting error.

        The unit is that of `input_rate`.
        """
        return self.rate_of(self.score(events), self._weights(weight, events))

    def expected(self) -> Value:
        """Return the target ± the error that counting above the threshold leaves of it."""
        return Value(self.target, self.target * self.updates_[-1].error)

    def rate_of(self, score: Floats, weight: ArrayLike | None = None) -> Value:
        """Return the rate of events of the stream by their scores (N,), as `rate`."""
        weights = self._weights(weight, score)
        kept = weights[score > self.threshold_]
        # Of none that are kept, the error of one.
        error = np.sqrt((kept**2).sum()) if len(kept) else weights.mean()
        scale = self.input_rate / weights.sum()
        return Value(float(kept.sum() * scale), float(error * scale))

    def _weights(self, weight: ArrayLike | None, events: Any) -> Floats:
        """Return the weights (N,) of events; those that jets have themselves count as well."""
        why = "a rate counts events"
        given = as_weight(weight, len(events), "the events", negative=why)
        if "weight" not in getattr(events, "fields", ()):
            return given
        return given * as_weight(weights_of(events), len(events), "the events", negative=why)

    def _check_enough(self, weights: Floats) -> float:
        """Return the effective number of events; raise `InputError` for too few of them.

        And for a target that is no part of the stream.
        """
        if not self.target < self.input_rate:
            raise InputError(
                f"target is {self.target:g} and the stream has the input rate {self.input_rate:g};"
                " a trigger keeps less than it sees, lower target."
            )
        effective = float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
        if self.share * effective < LEAST:
            raise InputError(
                f"{effective:.0f} events set a threshold that {self.share:.2g} of the stream is"
                f" above, {self.share * effective:.2g} of them; give at least"
                f" {LEAST / self.share:.0f}, or a higher target."
            )
        return effective
