"""Decorrelate a trained score s: maps, one for each m, after which it does not depend on m.

They are learned from background events. Both rise with s at each m: what a cut on the score at
fixed m separates, it separates as before.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.events.tables import (
    Floats,
    as_column,
    as_table,
    as_weight,
    validation_mask,
)
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.methods.method import Method
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["FlowDecorrelation", "ScoreMap", "TransportDecorrelation"]

SMALLEST = 1e-12  # of a probability and of what it lacks to 1
ROWS = 1 << 16  # whose quantile functions are held at a time
NEGATIVE = "a map is of cumulative distributions, which negative weights do not leave rising"


class ScoreMap(Method):
    """Map scores s (N,) by protected columns m (N, M): what all maps share.

    A subclass gives `_fit` and `_transform`, on numbers that are checked here. Scores between 0 and
    1 are probabilities, and are taken as their log-odds.

    After `fit`: `probability_`, whether they are, and `quantities_`, the number of columns M.
    """

    probability_: bool
    quantities_: int

    def fit(
        self,
        score: ArrayLike,
        protected: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from background events, score (N,) and m (N,) or (N, M); return self.

        `weight` (N,) is not negative. Raises `InputError` for values that are not finite, negative
        weights, a constant column or score, and too few events.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            score=score,
            protected=protected,
            weight=weight,
        )
        s, m = self._checked(score, protected)
        w = as_weight(weight, len(s), "the background", negative=NEGATIVE)
        s, m, w = s[w > 0], m[w > 0], w[w > 0]
        if len(s) < 2:
            raise InputError(f"a map needs two background events at least, not {len(s)}.")
        constant = np.flatnonzero(np.ptp(m, 0) == 0)
        if len(constant):
            raise InputError(f"protected column {constant[0]} is constant; leave it out.")
        if np.ptp(s) == 0:
            raise InputError("the score is constant; there is nothing to map.")
        self.probability_ = bool(s.min() >= 0 and s.max() <= 1)
        self.quantities_ = m.shape[1]
        checkpoints = None if folder is None else Path(folder)
        where = {"folder": checkpoints, "resume": resume, "progress": progress}
        self._fit(self._log_odds(s), m, w, **where)
        return self

    def transform(self, score: ArrayLike, protected: ArrayLike) -> Floats:
        """Return the mapped score of events with score (N,) and m (N,) or (N, M), (N,)."""
        probability, quantities = self.probability_, self.quantities_
        if np.size(score) == 0:
            return np.zeros(0)
        s, m = self._checked(score, protected)
        if m.shape[1] != quantities:
            raise InputError(f"give {quantities} protected columns, as in fit.")
        if probability and not (s.min() >= 0 and s.max() <= 1):
            raise InputError("the map was fitted to probabilities; give such scores.")
        return self._transform(self._log_odds(s), m)

    @abstractmethod
    def _fit(self, s: Floats, m: Floats, w: Floats, **where: Any) -> None:
        """Learn from log-odds or scores (N,), columns (N, M) and positive weights (N,).

        `where` are folder, resume and progress.
        """

    @abstractmethod
    def _transform(self, s: Floats, m: Floats) -> Floats:
        """Map log-odds or scores (N,) at columns (N, M), (N,)."""

    def _checked(self, score: ArrayLike, protected: ArrayLike) -> tuple[Floats, Floats]:
        m = as_table(protected, "protected")
        return as_column(score, len(m), "score"), m

    def _log_odds(self, s: Floats) -> Floats:
        """Return the log-odds of probabilities, and other scores as they are."""
        if not self.probability_:
            return s
        odds: Floats = logit(s.clip(SMALLEST, 1 - SMALLEST))
        return odds


class FlowDecorrelation(ScoreMap):
    """Map a score by a normalising flow that is conditional on m (2211.02486).

        u = Phi(f(s; m))

    with f the flow from p(s | m) of the background to the standard normal density, by maximum
    likelihood, and Phi its cumulative distribution: on background u is uniform from 0 to 1 at each
    m, so that a cut u > x keeps the share 1 - x of it. m may have several columns. Needs zuko.

    Args:
        transforms, bins, hidden: of `generators.flow.ConditionalFlow`.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `flow_`, and `history_`, the epochs of "flow".
    """

    name: ClassVar[str] = "flow-decorrelation"
    resumable: ClassVar[bool] = True

    flow_: ConditionalFlow
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        transforms: int = 2,
        bins: int = 8,
        hidden: Sequence[int] = (64, 64),
        validation: float = 0.2,
        training: Training = Training(
            epochs=10, batch_size=512, learning_rate=2e-3, schedule="cosine"
        ),
    ) -> None:
        self.transforms = transforms
        self.bins = bins
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _fit(self, s: Floats, m: Floats, w: Floats, **where: Any) -> None:
        x, c = torch.from_numpy(s[:, None]), torch.from_numpy(m)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed_, "flow"))
            self._rebuild()
        self.flow_.fit_scaling(x, c)
        data = Dataset(x, torch.zeros(len(x)), torch.from_numpy((w / w.mean()).astype("f4")), c)
        mask = validation_mask(np.arange(len(x)), self.validation, self.seed_)
        train, validation = data.split(mask)
        epochs = fit(
            self.flow_,
            own_loss,
            train,
            validation,
            self.training,
            seed=self.seed_,
            title="flow of the score",
            **where,
        )
        self.history_ = {"flow": epochs}

    @torch.no_grad()
    def _transform(self, s: Floats, m: Floats) -> Floats:
        x, c = torch.from_numpy(s[:, None]), torch.from_numpy(m)
        pairs = zip(x.split(ROWS), c.split(ROWS), strict=True)
        z = torch.cat([self.flow_.encode(*pair)[:, 0] for pair in pairs])
        mapped: Floats = norm.cdf(z.double().numpy())
        return mapped

    def _rebuild(self) -> None:
        self.flow_ = ConditionalFlow(
            1, self.quantities_, transforms=self.transforms, bins=self.bins, hidden=self.hidden
        )


class TransportDecorrelation(ScoreMap):
    """Map a score by optimal transport of p(s | m) to p(s), both of the background (2307.05187).

        T(s; m) = Q(F(s | m))

    with F(. | m) the cumulative distribution of s at m and Q the quantile function of all m. In
    one dimension this map, the one that rises, is the optimal one for every convex cost: the score
    keeps its meaning and moves as little as can be.

    Quantiles of s are taken in bins of m of equal weight, whose events are first moved to the
    bin's centre along its line of regression, and are linear in m between centres: exact where p(s
    | m) shifts and widens linearly. Beyond the outer quantiles T is linear. Equal events count as
    one of their summed weight: a weight of 2 is an event twice.

    Args:
        bins: of m, one column.
        levels: quantiles of a bin, at even steps of the normal quantile.

    After `fit`: `levels_` (L,), `knots_` (bins, L) the quantiles of s at the `centres_` (bins,) of
    the bins, `slopes_` (bins,) of their lines, `reference_` (L,) the quantiles of all m.
    """

    name: ClassVar[str] = "transport-decorrelation"

    levels_: Floats
    centres_: Floats
    slopes_: Floats
    knots_: Floats
    reference_: Floats

    def __init__(self, *, bins: int = 20, levels: int = 200) -> None:
        self.bins = bins
        self.levels = levels

    def _fit(self, s: Floats, m: Floats, w: Floats, **where: Any) -> None:
        if m.shape[1] != 1:
            raise InputError("transport maps along one protected column; take the flow for more.")
        if self.bins < 1 or self.levels < 2:
            raise InputError("give at least 1 bin and 2 levels.")
        # In order of m, equal events as one.
        pairs, copy = np.unique(np.column_stack([m[:, 0], s]), axis=0, return_inverse=True)
        w = np.asarray(np.bincount(copy.reshape(-1), w), dtype=np.float64)
        m, s = pairs.T
        # A part in 1e9 more: which bin an event on an edge is in must not depend on rounding.
        place = (w.cumsum() - w / 2) / w.sum() * self.bins + 1e-9
        number = np.minimum(place, self.bins - 1).astype(int)
        fewest = int(np.bincount(number, minlength=self.bins).min())
        if fewest < 10:
            raise InputError(
                f"a bin of the protected column has {fewest} background events; give fewer than"
                f" {self.bins} bins or more events."
            )
        last = norm.ppf(1 - 0.5 / fewest)
        self.levels_ = norm.cdf(np.linspace(-last, last, self.levels))
        self.centres_, self.slopes_ = np.zeros(self.bins), np.zeros(self.bins)
        self.knots_ = np.zeros((self.bins, self.levels))
        for b in range(self.bins):
            x, y, p = (t[number == b] for t in (m, s, w))
            centre = np.average(x, weights=p)
            spread = np.average((x - centre) ** 2, weights=p)
            across = np.average((x - centre) * (y - np.average(y, weights=p)), weights=p)
            self.centres_[b] = centre
            self.slopes_[b] = across / spread if spread > 0 else 0.0
            self.knots_[b] = _quantiles(y - self.slopes_[b] * (x - centre), p, self.levels_)
        self.reference_ = _quantiles(s, w, self.levels_)

    def _transform(self, s: Floats, m: Floats) -> Floats:
        mapped: Floats = np.concatenate(
            [self._transported(s[i : i + ROWS], m[i : i + ROWS, 0]) for i in range(0, len(s), ROWS)]
        )
        return expit(mapped) if self.probability_ else mapped

    def _transported(self, s: Floats, m: Floats) -> Floats:
        knots = self._at(m)
        below = (knots <= s[:, None]).sum(1)
        low = (below - 1).clip(0, self.levels - 2)
        rows = np.arange(len(s))
        left, right = knots[rows, low], knots[rows, low + 1]
        gap = np.maximum(right - left, np.finfo(float).tiny)
        start, end = self.reference_[low], self.reference_[low + 1]
        inside = start + (end - start) * ((s - left) / gap).clip(0, 1)
        # Beyond, by as much as the score is away, in the ratio of the spreads.
        ratio = np.ptp(self.reference_) / np.maximum(np.ptp(knots, 1), np.finfo(float).tiny)
        beyond = np.minimum(s - knots[:, 0], 0) + np.maximum(s - knots[:, -1], 0)
        mapped: Floats = inside + ratio * beyond
        return mapped

    def _at(self, m: Floats) -> Floats:
        """Return the quantiles of s at each m, (N, levels)."""
        if self.bins == 1:
            return self.knots_ + self.slopes_ * (m - self.centres_)[:, None]
        low = (np.searchsorted(self.centres_, m) - 1).clip(0, self.bins - 2)
        width = self.centres_[low + 1] - self.centres_[low]
        share = ((m - self.centres_[low]) / np.where(width > 0, width, 1)).clip(0, 1)[:, None]
        inside = (1 - share) * self.knots_[low] + share * self.knots_[low + 1]
        # Within the outer halves of the outer bins, along their lines.
        first, last = self.centres_[0], self.centres_[-1]
        beyond = self.slopes_[0] * np.minimum(m - first, 0)
        beyond += self.slopes_[-1] * np.maximum(m - last, 0)
        quantiles: Floats = inside + beyond[:, None]
        return quantiles


def _quantiles(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Return the quantiles of weighted values, each in the middle of its weight."""
    order = np.argsort(values, kind="stable")
    share = weight[order].cumsum() - weight[order] / 2
    quantiles: Floats = np.interp(levels, share / weight.sum(), values[order])
    return quantiles
