"""Maps of a trained score s, one for each m, after which it does not depend on m on background.

Both rise with s at each m: what a cut on the score at fixed m separates, it separates as before.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.methods.method import Method
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

__all__ = ["FlowDecorrelation", "TransportDecorrelation"]

Floats = NDArray[np.float64]
SMALLEST = 1e-12  # of a probability and of what it lacks to 1
ROWS = 1 << 16  # whose quantile functions are held at a time


class _ScoreMap(Method):
    """Check scores and protected columns, and take probabilities as their log-odds."""

    probability_: bool
    columns_: int

    def _checked(self, score: ArrayLike, protected: ArrayLike) -> tuple[Floats, Floats]:
        s = np.asarray(score, dtype=np.float64)
        m = np.asarray(protected, dtype=np.float64)
        m = m[:, None] if m.ndim == 1 else m
        if s.ndim != 1 or m.ndim != 2 or len(m) != len(s):
            raise InputError(
                f"score and protected have shapes {s.shape} and {m.shape}; give (events,) and"
                " (events, columns)."
            )
        for what, table in (("score", s[:, None]), ("protected", m)):
            if not np.isfinite(table).all():
                event = int(np.argmin(np.isfinite(table).all(1)))
                raise InputError(f"{what} is NaN or infinite in event {event} (counted from 0).")
        return s, m

    def _background(
        self, score: ArrayLike, protected: ArrayLike, weight: ArrayLike | None
    ) -> tuple[Floats, Floats, Floats]:
        """Return log-odds (or what is no probability as it is), columns and weights to fit to."""
        s, m = self._checked(score, protected)
        w = np.ones(len(s)) if weight is None else np.asarray(weight, dtype=np.float64)
        if w.shape != s.shape or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
            raise InputError("give a finite weight of at least 0 for each event, not all 0.")
        if len(s) < 2:
            raise InputError(f"a map needs two background events at least, not {len(s)}.")
        constant = np.flatnonzero(np.ptp(m, 0) == 0)
        if len(constant):
            raise InputError(f"protected column {constant[0]} is constant; leave it out.")
        if np.ptp(s) == 0:
            raise InputError("the score is constant; there is nothing to map.")
        self.probability_ = bool(s.min() >= 0 and s.max() <= 1)
        self.columns_ = m.shape[1]
        return self._open(s), m, w

    def _open(self, s: Floats) -> Floats:
        if not self.probability_:
            return s
        opened: Floats = logit(s.clip(SMALLEST, 1 - SMALLEST))
        return opened

    def _given(self, score: ArrayLike, protected: ArrayLike) -> tuple[Floats, Floats]:
        """Return what `transform` maps."""
        if not hasattr(self, "columns_"):
            raise InputError("the map is not fitted; call fit or load a fitted one.")
        s, m = self._checked(score, protected)
        if m.shape[1] != self.columns_:
            raise InputError(f"give {self.columns_} protected columns, as in fit.")
        if self.probability_ and len(s) and not (s.min() >= 0 and s.max() <= 1):
            raise InputError("the map was fitted to probabilities; give such scores.")
        return self._open(s), m


class FlowDecorrelation(_ScoreMap):
    """Map a score by a normalising flow that is conditional on m (2211.02486).

        u = Phi(f(s; m))

    with f the flow from p(s | m) of the background to the standard normal density, by maximum
    likelihood, and Phi its cumulative distribution: on background u is uniform from 0 to 1 at each
    m, so that a cut u > x keeps the share 1 - x of it. m may have several columns. Needs zuko.

    Args:
        transforms, bins, hidden: of `generators.flow.ConditionalFlow`.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.
    """

    name: ClassVar[str] = "flow-decorrelation"

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

    def fit(
        self,
        score: ArrayLike,
        protected: ArrayLike,
        weight: ArrayLike | None = None,
        *,
        seed: int = 0,
        progress: bool = False,
    ) -> Self:
        """Learn from background events, score (N,) and m (N,) or (N, M); return self.

        Raises `InputError` for values that are not finite, negative weights, or a constant column.
        """
        s, m, w = self._background(score, protected, weight)
        x, c = (torch.from_numpy(t.astype(np.float32)) for t in (s[:, None], m))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.flow_ = self._build().fit_scaling(x, c)
        data = Dataset(x, torch.zeros(len(x)), torch.from_numpy((w / w.mean()).astype("f4")), c)
        held = hash_uniform(np.arange(len(x)), seed) < self.validation
        train, validation = data.split(held)
        history = fit(
            self.flow_,
            own_loss,
            train,
            validation,
            self.training,
            seed=seed,
            title="flow of the score",
            progress=progress,
        )
        self.history_ = [asdict(epoch) for epoch in history]
        return self

    @torch.no_grad()
    def transform(self, score: ArrayLike, protected: ArrayLike) -> Floats:
        """Return u of events with score (N,) and m (N,) or (N, M), (N,)."""
        s, m = self._given(score, protected)
        x, c = (torch.from_numpy(t.astype(np.float32)) for t in (s[:, None], m))
        pairs = zip(x.split(ROWS), c.split(ROWS), strict=True)
        z = torch.cat([self.flow_.encode(*pair)[:, 0] for pair in pairs])
        mapped: Floats = norm.cdf(z.double().numpy())
        return mapped

    def _build(self) -> ConditionalFlow:
        return ConditionalFlow(
            1, self.columns_, transforms=self.transforms, bins=self.bins, hidden=self.hidden
        )

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.flow_.state_dict())

    def _state(self) -> dict[str, Any]:
        return {
            "columns": self.columns_,
            "probability": self.probability_,
            "history": self.history_,
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.columns_, self.probability_ = state["columns"], state["probability"]
        self.history_ = state["history"]
        self.flow_ = self._build()
        self.flow_.load_state_dict(tensors)
        self.flow_.eval()


class TransportDecorrelation(_ScoreMap):
    """Map a score by optimal transport of p(s | m) to p(s), both of the background (2307.05187).

        T(s; m) = Q(F(s | m))

    with F(. | m) the cumulative distribution of s at m and Q the quantile function of all m. In
    one dimension this map, the one that rises, is the optimal one for every convex cost: the score
    keeps its meaning and moves as little as can be.

    Quantiles of s are taken in bins of m of equal weight, whose events are first moved to the
    bin's centre along its line of regression, and are linear in m between centres: exact where p(s
    | m) shifts and widens linearly. Beyond the outer quantiles T is linear.

    Args:
        bins: of m, one column.
        levels: quantiles of a bin, at even steps of the normal quantile.
    """

    name: ClassVar[str] = "transport-decorrelation"

    def __init__(self, *, bins: int = 20, levels: int = 200) -> None:
        self.bins = bins
        self.levels = levels

    def fit(self, score: ArrayLike, protected: ArrayLike, weight: ArrayLike | None = None) -> Self:
        """Learn from background events, score (N,) and m (N,); return self.

        Raises `InputError` for values that are not finite, negative weights, a constant m or more
        than one, or fewer than ten events in a bin.
        """
        s, m, w = self._background(score, protected, weight)
        if self.columns_ != 1:
            raise InputError("transport maps along one protected column; take the flow for more.")
        if self.bins < 1 or self.levels < 2:
            raise InputError("give at least 1 bin and 2 levels.")
        order = np.argsort(m[:, 0], kind="stable")
        s, m, w = s[order], m[order, 0], w[order]
        number = np.minimum((w.cumsum() - w / 2) / w.sum() * self.bins, self.bins - 1).astype(int)
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
        return self

    def transform(self, score: ArrayLike, protected: ArrayLike) -> Floats:
        """Return T of events with score (N,) and m (N,), (N,); a probability of a probability."""
        s, m = self._given(score, protected)
        pieces = range(0, len(s), ROWS)
        parts = [self._transported(s[i : i + ROWS], m[i : i + ROWS, 0]) for i in pieces]
        mapped: Floats = np.concatenate(parts) if parts else s
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

    def _tensors(self) -> dict[str, Tensor]:
        names = ("levels_", "centres_", "slopes_", "knots_", "reference_")
        return {name: torch.from_numpy(getattr(self, name)) for name in names}

    def _state(self) -> dict[str, Any]:
        return {"columns": self.columns_, "probability": self.probability_}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.columns_, self.probability_ = state["columns"], state["probability"]
        for name, value in tensors.items():
            setattr(self, name, value.numpy())


def _quantiles(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Return the quantiles of weighted values, each in the middle of its weight."""
    order = np.argsort(values, kind="stable")
    share = weight[order].cumsum() - weight[order] / 2
    quantiles: Floats = np.interp(levels, share / weight.sum(), values[order])
    return quantiles
