"""Forecast congestion of network links 1, 5 and 15 intervals ahead, from counters of links."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import Floats
from colliderkit.methods.method import Method
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.networks.stack import Stack
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.network.counters import LinkCounters
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Training
from colliderkit.training.stacks import fit_stack

__all__ = ["FORECASTS", "LEARNED", "CongestionForecast", "Forecast", "features"]

Forecast = Literal[
    "trees", "network", "logistic", "persistence", "smoothing", "daily-profile", "threshold"
]
LEARNED = ("trees", "network", "logistic")
FORECASTS: tuple[Forecast, ...] = (
    *("trees", "network", "logistic"),
    *("persistence", "smoothing", "daily-profile", "threshold"),
)
MEMORIES = (0.5, 0.2, 0.05, 0.01)  # of what is smoothed: weights of the newest interval
FORGOTTEN = 1e-9  # a smoothed share of congestion that is none
HOURS = 24  # parts of a day in its profile
STEPS = 32  # at most, of a score's rate of congestion


class CongestionForecast(Method):
    """Forecast P(a link is congested in interval t + h | all counters up to t), for several h.

    A link is congested where its queue is fuller than 80% or packets are lost. What learns sees
    lags of the link's own counters, those of the links that feed it and that it feeds, sliding
    means, and the time of day; no number of the link, so that it may be used on another topology.
    Boosted trees and a perceptron stand beside logistic regression of the same lags, and beside
    what needs no learning: persistence (as now), exponential smoothing, the profile of the day of
    each link, and a threshold on the utilisation. Scores of these become probabilities by the rate
    of congestion at such scores in the training, made to rise (isotonic regression).

    Args:
        kind: "trees", "network", "logistic", "persistence", "smoothing", "daily-profile" or
            "threshold".
        horizons: intervals ahead.
        lags: intervals that are looked back at.
        day: intervals of a day.
        validation: the share of the intervals, the last ones, that stops the learning.
        hidden: widths of the perceptron's layers.
        training: of the perceptron and the logistic regression.

    After `fit`: `rate_`, the share of congested intervals and links in the training, and of what
    learns `models_`, one a horizon, else `tables_` of numbers by name.
    """

    name: ClassVar[str] = "congestion-forecast"

    rate_: float
    names_: list[str]
    sizes_: list[dict[str, int]]
    models_: list[BoostedTrees | Stack]
    scaling_: Standardise
    tables_: dict[str, Floats]

    def __init__(
        self,
        *,
        kind: Forecast = "trees",
        horizons: Sequence[int] = (1, 5, 15),
        lags: int = 10,
        day: int = 1440,
        validation: float = 0.2,
        hidden: Sequence[int] = (64, 64),
        training: Training = Training(epochs=8, batch_size=1024, learning_rate=2e-3),
    ) -> None:
        self.kind = kind
        self.horizons = horizons
        self.lags = lags
        self.day = day
        self.validation = validation
        self.hidden = hidden
        self.training = training

    def fit(
        self,
        counters: LinkCounters,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from T intervals of L links, the last of them to stop by, and return self.

        Raises `InputError` for weights, for fewer intervals than the lags and the farthest horizon
        need, and where no link or every link is congested in all of them.
        """
        self._begin(seed=seed, folder=folder, resume=resume, counters=counters)
        if weight is not None:
            raise InputError(
                "a forecast counts intervals of time, and has no weights; leave weight out."
            )
        if self.kind not in FORECASTS:
            raise InputError(f"kind '{self.kind}' is none of {', '.join(FORECASTS)}.")
        counters = _checked(counters)
        congested = counters.congested
        cut = len(counters) - int(self.validation * len(counters))
        far = max(self.horizons)
        if cut <= self.lags + 2 * far or len(counters) - cut <= far:
            raise InputError(
                f"{len(counters)} intervals, of which the last {self.validation:.0%} stop the"
                f" learning, are too few for {self.lags} lags and {far} ahead; give"
                f" {int((self.lags + 2 * far) / min(self.validation, 1 - self.validation)) + 1} or"
                " more."
            )
        parts = congested[self.lags : cut - far], congested[cut:]
        if any(part.all() or not part.any() for part in parts):
            raise InputError(
                f"{int(congested[:cut].sum())} intervals and links to train on and"
                f" {int(congested[cut:].sum())} to stop by are congested; some have to be, and some"
                " not."
            )
        self.rate_ = float(congested[:cut].mean())
        self.names_ = list(counters.names)
        self.tables_, self.models_, self.sizes_ = {}, [], []
        self.scaling_ = Standardise(1)
        if self.kind in LEARNED:
            self._learn(counters, cut, seed, progress)
            return self
        if self.kind == "daily-profile":
            hour = self._hours(counters)
            for link, number in enumerate(counters.link):
                seen = np.bincount(hour[:cut], minlength=HOURS)
                here = np.bincount(hour[:cut], congested[:cut, link], minlength=HOURS)
                # As two intervals more at the rate of all.
                self.tables_[f"link {number}"] = (here + 2 * self.rate_) / (seen + 2)
            everywhere = np.bincount(hour[:cut], congested[:cut].mean(1), minlength=HOURS)
            self.tables_["all"] = everywhere / np.maximum(np.bincount(hour[:cut], minlength=24), 1)
        if self.kind == "smoothing":
            self.tables_["memory"] = self._memory(congested[:cut])
        for i, h in enumerate(self.horizons):
            score = self._scores(counters, i)[: cut - h]
            self.tables_[f"score {h}"], self.tables_[f"rate {h}"] = _rising(score, congested[h:cut])
        return self

    def predict_proba(self, counters: LinkCounters) -> Floats:
        """Return P(congested in t + h) of each interval and link, (T, L, H) of H horizons.

        The lags before the first interval are taken as it is. Raises `InputError` for other
        counters than those of `fit`.
        """
        sizes = self.rate_, self.names_
        counters = _checked(counters)
        if list(counters.names) != sizes[1]:
            raise InputError(
                f"the counters are {', '.join(counters.names)}, and the fit had"
                f" {', '.join(self.names_)}; give the same."
            )
        shape = counters.values.shape[:2]
        if self.kind not in LEARNED:
            found = [
                np.interp(
                    self._scores(counters, i), self.tables_[f"score {h}"], self.tables_[f"rate {h}"]
                )
                for i, h in enumerate(self.horizons)
            ]
            return np.stack(found, axis=2)
        table = features(counters, self.lags, self.day).reshape(len(counters) * shape[1], -1)
        parts = []
        with torch.no_grad():
            for model in self.models_:
                logits = [
                    self._logits(model, rows) for rows in torch.from_numpy(table).split(65536)
                ]
                parts.append(torch.cat(logits).sigmoid().double().numpy().reshape(shape))
        return np.stack(parts, axis=2)

    def _learn(self, counters: LinkCounters, cut: int, seed: int, progress: bool) -> None:
        table = features(counters, self.lags, self.day)
        congested = counters.congested
        flat = partial(np.reshape, shape=(-1, table.shape[2]))
        self.scaling_ = Standardise(table.shape[2])
        self.scaling_.fit(torch.from_numpy(flat(table[self.lags : cut])))
        with progress_bar(shown=progress) as bar:
            task = bar.add_task(f"congestion ({self.kind})", total=len(self.horizons))
            for h in self.horizons:
                # No target of the training lies in the intervals that stop it.
                rows = slice(self.lags, cut - h), slice(cut, len(counters) - h)
                x = [flat(table[part]) for part in rows]
                y = [congested[part.start + h : part.stop + h].reshape(-1) for part in rows]
                self._grow(x, y, derive(seed, "horizon", h))
                bar.advance(task)

    def _grow(self, x: list[NDArray[Any]], y: list[NDArray[Any]], seed: int) -> None:
        """Fit the model of one horizon to rows and truths, of the training and of the rest."""
        if self.kind == "trees":
            trees = BoostedTrees.fit(
                x[0],
                y[0].astype(np.int64),
                seed=seed,
                validation=(x[1], y[1].astype(np.int64), None),
                max_iter=200,
                learning_rate=0.06,
                max_leaf_nodes=15,
                min_samples_leaf=100,
                l2_regularization=10.0,
                early_stopping=True,
                n_iter_no_change=20,
            )
            self.models_.append(trees)
            self.sizes_.append(trees.options)
            return
        hidden = tuple(self.hidden) if self.kind == "network" else ()
        stack = Stack(1, x[0].shape[1], hidden)
        data = [
            Dataset(
                self.scaling_(torch.from_numpy(rows)),
                torch.from_numpy(truth.astype(np.float32)),
                torch.ones(len(rows)),
            )
            for rows, truth in zip(x, y, strict=True)
        ]
        # A rare class: the network begins at its rate.
        base = float(np.log(y[0].mean() / (1 - y[0].mean())))
        first, last = (torch.full((len(part),), base) for part in y)
        train, validation = data
        fit_stack(
            stack,
            _cross_entropy,
            train,
            validation,
            self.training,
            seeds=[seed],
            offset=(first, last),
        )
        with torch.no_grad():
            stack.biases[-1] += base
        self.models_.append(stack)
        self.sizes_.append({"inputs": x[0].shape[1]})

    def _logits(self, model: BoostedTrees | Stack, rows: Tensor) -> Tensor:
        if isinstance(model, BoostedTrees):
            return model(rows)[:, 1]
        logits: Tensor = model(self.scaling_(rows)[None])[0]
        return logits

    def _scores(self, counters: LinkCounters, horizon: int) -> Floats:
        """Return the score (T, L) of what does not learn; higher where congestion is nearer."""
        if self.kind == "persistence":
            return counters.congested.astype(np.float64)
        if self.kind == "threshold":
            return counters["utilisation"]
        if self.kind == "smoothing":
            # Of a long quiet link hardly a number is left: between two such none can be drawn.
            recent = smoothed(counters.congested, float(self.tables_["memory"][horizon]))
            return np.maximum(recent, FORGOTTEN)
        hour = self._hours(counters, self.horizons[horizon])
        default = self.tables_["all"]
        profile = [self.tables_.get(f"link {number}", default)[hour] for number in counters.link]
        return np.stack(profile, axis=1)

    def _hours(self, counters: LinkCounters, ahead: int = 0) -> NDArray[np.int64]:
        hour: NDArray[np.int64] = (counters.interval + ahead) % self.day * HOURS // self.day
        return hour

    def _memory(self, congested: NDArray[np.bool_]) -> Floats:
        """Choose the weight of the newest interval for each horizon, by the squared error."""
        chosen = []
        for h in self.horizons:
            errors = {
                memory: float(np.mean((smoothed(congested, memory)[:-h] - congested[h:]) ** 2))
                for memory in np.geomspace(0.02, 1, 12)
            }
            chosen.append(min(errors, key=errors.__getitem__))
        return np.array(chosen)

    def _rebuild(self) -> None:
        learned: list[Mapping[str, int]] = list(self.sizes_)
        width = learned[0]["inputs"] if learned else 1
        self.scaling_ = Standardise(width)
        if self.kind == "trees":
            self.models_ = [BoostedTrees(**size) for size in learned]
        else:
            hidden = tuple(self.hidden) if self.kind == "network" else ()
            self.models_ = [Stack(1, width, hidden) for _ in learned]


def features(counters: LinkCounters, lags: int, day: int) -> NDArray[np.float32]:
    """Return what a forecast sees of each interval and link, (T, L, F) float32.

    Of the link: the `lags` newest values of each counter (a loss as log10 of itself over 1e-7) and
    of whether it was congested, sliding means of the use and of congestion, and how long ago it was
    congested. Of those that feed it and that it feeds: the mean and the largest use and queue, and
    the largest loss, now. Of all links: the share that is congested. And the time of the day, as
    sine and cosine. Nothing is later than the interval itself.
    """
    loss = np.log10(1 + np.maximum(counters["loss"], 0) / 1e-7)
    congested = counters.congested.astype(np.float64)
    others = [counters[name] for name in counters.names[3:]]
    own = [counters["utilisation"], counters["queue"], loss, congested, *others]
    columns = [_past(values, lag) for values in own for lag in range(lags)]
    for memory in MEMORIES:
        columns += [smoothed(own[0], memory), smoothed(congested, memory)]
    time = np.arange(len(counters))[:, None]
    last = np.maximum.accumulate(np.where(congested > 0, time, -1), axis=0)
    columns.append(np.where(last >= 0, np.minimum(time - last, day), day).astype(np.float64))
    for fed in (counters.feeds, counters.feeds.T):
        count = np.maximum(fed.sum(0), 1)
        for values in own[:2]:
            columns += [values @ fed / count, _largest(values, fed)]
        columns.append(_largest(loss, fed))
        columns.append(congested @ fed / count)
    shape = congested.shape
    columns.append(np.broadcast_to(congested.mean(1, keepdims=True), shape))
    angle = 2 * np.pi * counters.interval / day
    columns += [np.broadcast_to(wave(angle)[:, None], shape) for wave in (np.sin, np.cos)]
    return np.stack(columns, axis=2, dtype=np.float32)


def smoothed(values: ArrayLike, memory: float) -> Floats:
    """Return exponential smoothing of rows in time (T, L): s_t = m x_t + (1 - m) s_t-1."""
    from scipy.signal import lfilter

    x = np.asarray(values, dtype=np.float64)
    filtered, _ = lfilter([memory], [1, memory - 1], x, axis=0, zi=(1 - memory) * x[:1])
    result: Floats = filtered
    return result


def _past(values: Floats, lag: int) -> Floats:
    """Return the values (T, L) of `lag` intervals ago; before the first, the first."""
    return values if lag == 0 else np.concatenate([np.repeat(values[:1], lag, 0), values[:-lag]])


def _largest(values: Floats, fed: NDArray[np.bool_]) -> Floats:
    """Return the largest value (T, L) among the links of each column of `fed`, 0 of none."""
    columns = [values[:, some].max(1) if some.any() else np.zeros(len(values)) for some in fed.T]
    return np.stack(columns, axis=1)


def _rising(score: Floats, truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return at most `STEPS` scores and the rate of truths there, made to rise with the score."""
    from sklearn.isotonic import IsotonicRegression

    s, y = score.reshape(-1), truth.reshape(-1).astype(np.float64)
    rate = IsotonicRegression(out_of_bounds="clip").fit(s, y)
    points = np.unique(np.quantile(s, 1 - np.geomspace(1, 1e-4, STEPS), method="nearest"))
    points = np.unique(np.concatenate([[s.min()], points, [s.max()]]))
    # A rate that rises a little everywhere keeps the order of scores.
    rising = rate.predict(points) + 1e-9 * np.arange(len(points))
    return points, np.clip(rising, 0, 1)


def _cross_entropy(z: Tensor, target: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(z, target.expand_as(z), reduction="none")


def _checked(counters: LinkCounters) -> LinkCounters:
    """Check counters that a user made without `LinkCounters.checked`."""
    return LinkCounters.checked(
        counters.values,
        names=counters.names,
        interval=counters.interval,
        link=counters.link,
        feeds=counters.feeds,
    )
