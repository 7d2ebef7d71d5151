"""Popularity of data sets: how often each is read in the coming days, forecast from its past."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats
from colliderkit.methods.method import Method
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.seeds import derive

__all__ = ["KINDS", "Kind", "Popularity", "deviance", "forecasts", "log_error"]

Kind = Literal["trees", "smoothed", "decay", "last", "mean"]
KINDS: tuple[Kind, ...] = ("trees", "smoothed", "decay", "last", "mean")
WINDOWS = (1.0, 3.0, 7.0, 14.0, 28.0, 90.0)  # days of which accesses are counted
PAST = 104  # weeks that are smoothed at most
FAR = 365.0  # days of what never was, or is not to come
LEAVES, RATE = 16, 0.08  # of a tree, and how much of it is added
TINY = 1e-3  # accesses that are forecast at least, so that one that comes costs no infinity
# What each kind chooses among, on the end of the time it is trained on.
CHOICES: dict[str, tuple[float, ...]] = {
    "trees": (0.125, 0.25, 0.5, 1.0),  # of the rounds
    "smoothed": (0.5, 1, 2, 4, 8),  # weeks of a Gaussian kernel
    "decay": (2, 4, 7, 14, 28, 56),  # days of an exponential
    "last": (0.0,),
    "mean": (0.0,),
}


class Popularity(Method):
    """Forecast the number of accesses to each data set in the next `horizon` days.

    What is known of a day is what happened before it, in training and later. Kinds:

    - ``trees``: boosted trees with a Poisson likelihood on the accesses of the last 1 to 90 days,
      age, days since the last access, size, the catalogue's own features and the days to the next
      conference;
    - ``smoothed``: the mean of the weekly counts n_w of the last 104 weeks with a Gaussian kernel,
      sum K((t - t_w) / h) n_w / sum K (Nadaraya-Watson, as LHCb does, 1510.00132);
    - ``decay``: sum over accesses of exp(-(t - t_k) / tau), times horizon / tau;
    - ``last``: as many as in the last `horizon` days;
    - ``mean``: as many a day as since the data set is there: what is popular stays so.

    Args:
        kind: of the above.
        horizon: days.
        rounds: trees at most.
        validation: the last part of the training time, on which h, tau or the number of trees are
            chosen, by the Poisson deviance.

    After `fit`: `until_`, the day on which the training ended; `chosen_`, and the deviance of each
    choice, `tried_`.
    """

    name: ClassVar[str] = "popularity"

    until_: float
    chosen_: float
    tried_: dict[str, float]
    features_: list[str]
    trees_: list[BoostedTrees]
    shape_: list[dict[str, int]]

    def __init__(
        self,
        *,
        kind: Kind = "trees",
        horizon: float = 7.0,
        rounds: int = 200,
        validation: float = 0.25,
    ) -> None:
        self.kind = kind
        self.horizon = horizon
        self.rounds = rounds
        self.validation = validation

    def fit(
        self,
        accesses: Accesses,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from all `accesses`; return self. Give those before the day of the first forecast.

        Raises `InputError` for weights, and for a time too short to hold a part to choose on.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        if weight is not None:
            raise InputError("an access counts as one; leave weight out, or repeat the access.")
        if self.kind not in KINDS:
            raise InputError(f"kind '{self.kind}' is unknown; choose one of {', '.join(KINDS)}.")
        begin, end = accesses.begin, accesses.end
        middle = end - self.validation * (end - begin)
        if min(middle - begin, end - middle) < 2 * self.horizon:
            raise InputError(
                f"the accesses span {end - begin:.0f} days, and a forecast of {self.horizon:g} days"
                f" is chosen on the last {self.validation:g} of them; give at least"
                f" {2 * self.horizon / min(self.validation, 1 - self.validation):.0f} days."
            )
        self.features_ = sorted(accesses.features)
        self.trees_, self.shape_ = [], []
        # The end is that of the last access, which is before it.
        self.until_ = float(np.nextafter(end, np.inf))
        late = np.arange(middle, end - self.horizon, self.horizon)
        truth = [accesses.counts(day, day + self.horizon) for day in late]
        live = [accesses.known(day) for day in late]
        self.tried_ = {}
        choices = CHOICES[self.kind]
        early = accesses.before(middle)
        if self.kind == "trees":
            self._learn(early, max(choices), seed)
            grown = self.trees_[0].root
        for choice in choices if len(choices) > 1 else ():
            if self.kind == "trees":  # the first so many rounds are what fewer rounds would grow
                self.trees_[0].root = grown[: self._trees(choice)]
            self.chosen_ = choice
            found = [self.predict(accesses, day) for day in late]
            each = [deviance(f[k], t[k]) for f, t, k in zip(found, truth, live, strict=True)]
            self.tried_[f"{choice:g}"] = float(np.mean(each))
        best = min(self.tried_, key=lambda text: self.tried_[text], default=f"{choices[0]:g}")
        self._learn(accesses, float(best), seed)
        return self

    def predict(self, accesses: Accesses, day: float) -> Floats:
        """Return the accesses expected in day <= t < day + horizon, (D,), from those before `day`.

        Those after it may be there, and are not looked at. Raises `InputError` for a catalogue
        without a feature of the training.
        """
        forecast = {
            "trees": self._by_trees,
            "smoothed": self._smoothed,
            "decay": self._decayed,
            "last": self._last,
            "mean": self._mean,
        }[self.kind]
        return np.where(accesses.known(day), np.maximum(forecast(accesses, day), TINY), 0.0)

    def _learn(self, accesses: Accesses, choice: float, seed: int) -> None:
        self.chosen_ = choice
        if self.kind != "trees":
            return
        step = self.horizon / 2
        first = accesses.begin + min(60.0, (accesses.end - accesses.begin) / 4)
        days = np.arange(first, accesses.end - self.horizon, step)
        tables, targets = [], []
        for day in days:
            live = accesses.known(day)
            tables.append(self.table(accesses, day)[live])
            targets.append(accesses.counts(day, day + self.horizon)[live])
        trees = BoostedTrees.fit_regression(
            np.concatenate(tables),
            np.concatenate(targets),
            seed=derive(seed, "trees"),
            loss="poisson",
            max_iter=self._trees(choice),
            max_leaf_nodes=LEAVES,
            learning_rate=RATE,
            early_stopping=False,
        )
        self.trees_, self.shape_ = [trees], [trees.options]

    def _trees(self, share: float) -> int:
        return max(int(share * self.rounds), 1)

    def _rebuild(self) -> None:
        self.trees_ = [BoostedTrees(**shape) for shape in self.shape_]

    def table(self, accesses: Accesses, day: float) -> Floats:
        """Return what the trees know of each data set on a day, (D, features)."""
        absent = [name for name in self.features_ if name not in accesses.features]
        if absent:
            raise InputError(
                f"the forecast was trained with the feature '{absent[0]}' of data sets, and these"
                " accesses have none; give it, or train without."
            )
        counts = [np.log1p(accesses.counts(day - window, day)) for window in WINDOWS]
        age = np.clip(day - np.asarray(accesses.born), 0, None)
        coming = np.asarray(accesses.conferences)
        coming = coming[coming >= day]
        near = np.full(len(age), min(coming[0] - day, FAR) if len(coming) else FAR)
        own = [np.asarray(accesses.features[name]) for name in self.features_]
        idle = np.minimum(accesses.idle(day), FAR)
        return np.column_stack([*counts, age, idle, np.log(accesses.size), near, *own])

    def _by_trees(self, accesses: Accesses, day: float) -> Floats:
        table = torch.from_numpy(self.table(accesses, day).astype(np.float32))
        with torch.no_grad():
            mean: Floats = self.trees_[0](table)[:, 0].double().exp().numpy()
        return mean

    def _smoothed(self, accesses: Accesses, day: float) -> Floats:
        total, weight = np.zeros(len(accesses.size)), np.zeros(len(accesses.size))
        born = np.asarray(accesses.born)
        for week in range(min(PAST, int(np.ceil((day - accesses.begin) / 7)))):
            kernel = np.exp(-(((week + 0.5) / self.chosen_) ** 2) / 2)
            if kernel < 1e-6:
                break
            low, high = day - 7 * (week + 1), day - 7 * week
            there = np.clip((high - np.maximum(born, max(low, accesses.begin))) / 7, 0, 1)
            total += kernel * accesses.counts(low, high)
            weight += kernel * there
        return total / np.maximum(weight, 1 / 7) * self.horizon / 7

    def _decayed(self, accesses: Accesses, day: float) -> Floats:
        low, high = np.searchsorted(accesses.time, (day - 20 * self.chosen_, day))
        faded = np.exp(-(day - accesses.time[low:high]) / self.chosen_)
        sets = accesses.dataset[low:high]
        total = np.bincount(sets, faded, minlength=len(accesses.size))
        return np.asarray(total * self.horizon / self.chosen_, dtype=np.float64)

    def _last(self, accesses: Accesses, day: float) -> Floats:
        return accesses.counts(day - self.horizon, day)

    def _mean(self, accesses: Accesses, day: float) -> Floats:
        seen = day - np.maximum(np.asarray(accesses.born), accesses.begin)
        return accesses.counts(-np.inf, day) / np.maximum(seen, 1.0) * self.horizon


def deviance(forecast: Floats, counted: Floats) -> float:
    """Return the Poisson deviance of counts (D,), 2 sum [n ln(n / f) - n + f] / D; 0 is perfect."""
    expected = np.maximum(forecast, TINY)
    ratio = np.where(counted > 0, counted, 1.0) / np.where(counted > 0, expected, 1.0)
    return float(2 * np.mean(counted * np.log(ratio) - counted + expected))


def log_error(forecast: Floats, counted: Floats) -> float:
    """Return the root mean square of ln(1 + forecast) - ln(1 + counted)."""
    return float(np.sqrt(np.mean((np.log1p(forecast) - np.log1p(counted)) ** 2)))


def forecasts(
    popularity: Popularity,
    accesses: Accesses,
    days: ArrayLike,
    *,
    refit: float | None = None,
    said: Callable[[], Any] = lambda: None,
) -> Floats:
    """Return the forecast on each of `days` (T,), (T, D), each from what was before its day.

    With `refit` the method is trained again whenever so many days have passed, on what is past
    then. `said` is called after each day.
    """
    rows = []
    method, last = popularity, popularity.until_
    for day in np.asarray(days, dtype=np.float64):
        if refit is not None and day - last >= refit:
            method = clone(popularity).fit(accesses.before(day), seed=popularity.seed_)
            last = day
        rows.append(method.predict(accesses, day))
        said()
    return np.array(rows)
