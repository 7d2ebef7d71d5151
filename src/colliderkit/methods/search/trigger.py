"""Trigger: keep the events of an unlabelled stream that look most anomalous, at a given rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.events.tables import Floats, Ints, as_weight, event_numbers, validation_mask
from colliderkit.methods.method import Method
from colliderkit.methods.search.topologies import (
    RARE,
    Groups,
    Prior,
    Tails,
    Topologies,
    prior_of,
)
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

    With `topologies` the score is -ln of the event's tail probability among events of its own
    topology, times the topology's share of the stream over its `prior` (`topologies.Tails`): the
    stream is cut at the same tail probability in each, or as the prior says, and the rate is still
    q in the mean.

    Args:
        method: an unfitted method with ``fit(events, event=, weight=, ...)`` and ``score(events)``,
            higher for what is to be kept, such as an `Autoencoder`.
        target: rate of what is kept.
        input_rate: rate of the stream, in the same unit.
        held_out: the share of the events, by a hash of their number, that sets the threshold.
        topologies: of events in a table, by which the tail probability is taken.
        prior: over topologies: "stream", their shares of it; "even"; or a number for each by name,
            none for those that are not to be kept.
        own: whether each topology has a score of its own, beside that of the rare ones.

    After `fit`: `scorer_`, the fitted method; `threshold_` of the score; `updates_`, each an
    `Update`; with topologies `groups_`, those that are told apart, `tails_` of the score in each,
    and `scorers_` by name.
    """

    name: ClassVar[str] = "trigger"
    resumable: ClassVar[bool] = True

    scorer_: Method
    scorers_: dict[str, Method]
    groups_: Groups | None
    tails_: Tails | None
    threshold_: float
    updates_: list[Update]

    def __init__(
        self,
        method: Method,
        *,
        target: float = 1_000.0,
        input_rate: float = 1_000_000.0,
        held_out: float = 0.5,
        topologies: Topologies | None = None,
        prior: Prior = "stream",
        own: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.input_rate = input_rate
        self.held_out = held_out
        self.topologies = topologies
        self.prior = prior
        self.own = own

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
        groups, of = self._grouped(rows, held)
        scorer: Any = clone(self.method)

        def fitted(part: NDArray[np.bool_], where: str, name: str) -> Any:
            there = {}
            if scorer.resumable and folder is not None:
                there = {"folder": Path(folder) / where, "resume": resume}
            return clone(scorer).fit(
                rows[part],
                event=numbers[part],
                weight=None if weight is None else weights[part],
                seed=derive(seed, name),
                progress=progress,
                **there,
            )

        self.scorer_ = fitted(~held, "score", "score")
        self.scorers_, self.groups_, self.tails_, self.updates_ = {}, groups, None, []
        if groups is not None and self.own:
            self.scorers_ = {
                name: fitted(~held & (of == i), f"score-{i}", f"score of {name}")
                for i, name in enumerate(groups.names)
                if name != RARE
            }
        return self.update(rows[held], weight=weights[held])

    def update(self, events: Any, *, weight: ArrayLike | None = None) -> Self:
        """Set the threshold by these events of the stream, which no training has seen.

        Returns self. Raises `InputError` for a target that is not below the input rate, weights
        below 0, and events so few that not even `LEAST` are above the threshold.
        """
        weights = self._weights(weight, events)
        effective = self._check_enough(weights)
        raw, of = self._raw(events)
        before = self.rate_of(self._combined(raw, of), weights) if self.updates_ else None
        if (groups := self._groups) is not None:
            tails = Tails.measured(raw, of, weights, names=groups.names, prior=self.prior)
            self.threshold_, self.tails_ = -float(np.log(tails.cut(self.share))), tails
        else:
            order = np.argsort(-raw, kind="stable")
            # Up to and with each event, and one more of the mean weight in the sum of all.
            reached = np.cumsum(weights[order]) / (weights.sum() + weights.sum() / effective)
            self.threshold_ = float(raw[order[int(np.abs(reached - self.share).argmin())]])
        last = {} if before is None else {"before": before.value, "before_error": before.error}
        error = float((self.share * effective) ** -0.5)
        self.updates_ = [*self.updates_, Update(effective, self.threshold_, error, **last)]
        return self

    def score(self, events: Any) -> Floats:
        """Return how anomalous events are, (N,); higher is more so.

        With `topologies` it is -ln q of `Tails`, with which the trigger keeps what is above -ln
        (target / input rate).
        """
        return self._combined(*self._raw(events))

    def raw_score(self, events: Any) -> Floats:
        """Return the score as it was learned, without any calibration by topology, (N,)."""
        return self._raw(events)[0]

    def tail_probability(self, events: Any) -> Floats:
        """Return how likely a score as high is among events of the same topology, (N,).

        Of the stream these are even from 0 to 1 in each topology. Raises `InputError` for a trigger
        without topologies.
        """
        return self._tails.tail(*self._raw(events))

    def topology(self, events: Any) -> Ints:
        """Return the topology of events, (N,), as a place among ``groups_.names``.

        Raises `InputError` for a trigger without topologies, and events that are no table.
        """
        if (groups := self._groups) is None or self.topologies is None:
            raise InputError("the trigger knows no topologies; fit one with topologies.")
        group: Ints = groups.of[self._labels(self.topologies, events)]
        return group

    def thresholds(self) -> dict[str, float]:
        """Return the thresholds of the score as it was learned: of each topology, or of "all"."""
        if (groups := self._groups) is None:
            return {"all": self.threshold_}
        found = self._tails.thresholds(float(np.exp(-self.threshold_)))
        return dict(zip(groups.names, found.tolist(), strict=True))

    @property
    def _groups(self) -> Groups | None:
        # What was saved before there were topologies has none.
        groups: Groups | None = self.__dict__.get("groups_")
        return groups

    @property
    def _tails(self) -> Tails:
        tails = self.tails_ if self._groups is not None else None
        if tails is None:
            raise InputError("the trigger knows no topologies; fit one with topologies.")
        return tails

    def _grouped(self, rows: Any, held: NDArray[np.bool_]) -> tuple[Groups | None, Ints]:
        """Return the groups of the events that are trained on, and the group of each event."""
        if self.topologies is None:
            if self.own or self.prior != "stream":
                raise InputError(
                    "own and prior are of topologies, and there are none; give topologies, or leave"
                    " them out."
                )
            return None, np.zeros(len(rows), dtype=np.int64)
        labels = self._labels(self.topologies, rows)
        groups = self.topologies.grouped(labels[~held])
        if len(groups.names) < 2:
            raise InputError(
                f"all events that are trained on are of one topology, {groups.names[0]}; leave"
                " topologies out, or give other edges."
            )
        prior_of(self.prior, groups.names, np.ones(len(groups.names)))  # refused before training
        return groups, groups.of[labels]

    def _labels(self, topologies: Topologies, events: Any) -> Ints:
        if hasattr(events, "fields") or np.ndim(events) != 2:
            raise InputError(
                "topologies count objects in the columns of a table, and the events are none; give"
                " a table with features, or leave topologies out."
            )
        table = np.asarray(events)
        named = getattr(self.method, "features", None)
        return topologies.labels(table, named or [f"x{i}" for i in range(table.shape[1])])

    def _combined(self, raw: Floats, of: Ints) -> Floats:
        return raw if self._groups is None else -self._tails.combined(raw, of)

    def _raw(self, events: Any) -> tuple[Floats, Ints]:
        """Return the scores (N,) as they were learned, and the topology of each event."""
        common: Any = self.scorer_
        if (groups := self._groups) is None:
            raw: Floats = np.asarray(common.score(events), dtype=np.float64)
            return raw, np.zeros(len(raw), dtype=np.int64)
        of, rows = self.topology(events), np.asarray(events)
        scorers: list[Any] = [self.scorers_.get(name, common) for name in groups.names]
        if not self.scorers_:
            return np.asarray(common.score(rows), dtype=np.float64), of
        score = np.empty(len(rows))
        for i, scorer in enumerate(scorers):
            if (mine := of == i).any():
                score[mine] = scorer.score(rows[mine])
        return score, of

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
