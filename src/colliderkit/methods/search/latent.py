"""Latent Dirichlet allocation: what kinds of splittings jets are mixtures of, without labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, as_table, as_weight
from colliderkit.events.tokens import lund_tokens
from colliderkit.methods.method import Method
from colliderkit.seeds import derive

__all__ = ["LatentDirichlet"]

TINY = 1e-100
INNER = 5  # updates of an event's shares for each of the topics
STARTS, BEGINNING = 8, 15  # and the iterations of each
SCORING = 50  # and of an event that is scored
PIECE = 4096  # events that are scored at a time


class LatentDirichlet(Method):
    """Find K distributions of tokens (topics), of which each event is a mixture of its own.

    An event is a bag of tokens, drawn from sum_k theta_k beta_k with shares theta (K,) of a
    Dirichlet distribution with parameters `alpha`, and topics beta_k (V,) of one with `smoothing`.
    Variational Bayes finds both from counts (N, V) alone (LDA, Blei et al., JMLR 3 (2003) 993).
    Of jets the tokens are splittings in bins of the primary Lund plane, as bins of substructure
    are in 1904.04200 and 2005.12319; there one topic becomes QCD's, the other a heavy decay's.

    Args:
        topics: K.
        alpha: of all topics, or one each: (0.9, 0.1) expects the second to be rare.
        smoothing: of the tokens of a topic.
        iterations: over all events.
        features: names of columns that hold counts, of a table without jets.
        bins: of the Lund plane, in ln 1/Delta and ln kt, of jets.

    After `fit`: `topics_` (K, V), each of sum 1, that with the largest share of tokens first;
    `shares_` (K,); `likelihood_` (iterations,), the mean ln p of a token.
    """

    name: ClassVar[str] = "latent-dirichlet"

    pseudo_counts_: Floats  # (K, V)
    alpha_: Floats
    shares_: Floats
    likelihood_: Floats

    def __init__(
        self,
        *,
        topics: int = 2,
        alpha: float | Sequence[float] = 0.5,
        smoothing: float = 0.1,
        iterations: int = 100,
        features: Sequence[str] | None = None,
        bins: tuple[int, int] = (12, 12),
    ) -> None:
        self.topics = topics
        self.alpha = alpha
        self.smoothing = smoothing
        self.iterations = iterations
        self.features = features
        self.bins = bins

    def fit(
        self,
        events: Any,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from counts (N, V) or N jets, with `weight` (N,) of 0 or more; return self.

        Raises `InputError` for counts that are negative or not finite, a single topic and a number
        of alphas that is not that of the topics.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        if self.topics < 2:
            raise InputError(f"topics is {self.topics}; a mixture has two or more.")
        given = np.atleast_1d(np.asarray(self.alpha, dtype=np.float64))
        if len(given) not in (1, self.topics):
            raise InputError(
                f"alpha has {len(given)} numbers for {self.topics} topics; give one, or one each."
            )
        counts = self._counts(events)
        negative = "an event cannot be taken from a mixture"
        weights = as_weight(weight, len(counts), negative=negative)
        weights = weights / weights.mean()  # so that they mean as much beside the smoothing
        alpha = np.broadcast_to(given, (self.topics,)).astype(np.float64)
        if not (weights @ counts).sum() > 0:
            raise InputError("the events hold no tokens at all; check the counts.")
        random = np.random.default_rng(derive(seed, "topics"))
        shape = self.topics, counts.shape[1]
        begun = [
            self._updated(counts, weights, alpha, random.gamma(100, 0.01, shape))
            for _ in range(STARTS)
        ]
        # Some starts end where no topic is that of a class: the one that tells tokens best goes on.
        best, _ = max(begun, key=lambda state: state[1][-1])
        pseudo, likelihood = self._updated(counts, weights, alpha, best, self.iterations)
        order = np.argsort(-pseudo.sum(1), kind="stable")
        self.pseudo_counts_, self.alpha_ = pseudo[order], alpha[order]
        self.shares_ = self.pseudo_counts_.sum(1) / pseudo.sum()
        self.likelihood_ = np.array(likelihood)
        return self

    def _updated(
        self,
        counts: Floats,
        weights: Floats,
        alpha: Floats,
        pseudo: Floats,
        iterations: int = BEGINNING,
    ) -> tuple[Floats, list[float]]:
        """Return the topics' parameters after some iterations, and ln p of a token after each."""
        gamma = alpha + counts.sum(1)[:, None] / self.topics
        total, likelihood = (weights @ counts).sum(), []
        for _ in range(iterations):
            beta = _mean_logarithm(pseudo)
            gamma = _mixed(counts, gamma, alpha, beta, INNER)
            theta = _mean_logarithm(gamma)
            found = theta @ beta
            pseudo = self.smoothing + beta * (theta.T @ (weights[:, None] * counts / found))
            mean = (gamma / gamma.sum(1, keepdims=True)) @ (pseudo / pseudo.sum(1, keepdims=True))
            likelihood.append(float(weights @ (counts * np.log(mean + TINY)).sum(1) / total))
        return pseudo, likelihood

    @property
    def topics_(self) -> Floats:
        """The distribution of tokens of each topic, (K, V)."""
        topics: Floats = self.pseudo_counts_ / self.pseudo_counts_.sum(1, keepdims=True)
        return topics

    def shares(self, events: Any) -> Floats:
        """Return the share of each topic in each event, (N, K); rows sum to 1."""
        counts, beta = self._counts(events), _mean_logarithm(self.pseudo_counts_)
        if counts.shape[1] != beta.shape[1]:
            raise InputError(
                f"the events have {counts.shape[1]} tokens, and {beta.shape[1]} were fitted; give"
                " the same columns."
            )
        parts = []
        for start in range(0, len(counts), PIECE):
            rows = counts[start : start + PIECE]
            gamma = np.ones((len(rows), self.topics)) * self.alpha_
            gamma = gamma + rows.sum(1)[:, None] / self.topics
            parts.append(_mixed(rows, gamma, self.alpha_, beta, SCORING))
        gamma = np.concatenate(parts)
        shares: Floats = gamma / gamma.sum(1, keepdims=True)
        return shares

    def score(self, events: Any) -> Floats:
        """Return the share of the rarest topic in each event, (N,)."""
        return self.shares(events)[:, -1]

    def _counts(self, events: Any) -> Floats:
        if isinstance(events, ak.Array) and self.features is None:
            return lund_tokens(events, self.bins)
        if isinstance(events, ak.Array):
            events = np.column_stack([ak.to_numpy(events[name]) for name in self.features or ()])
        counts = as_table(events, "the events", self.features or ())
        if (counts < 0).any():
            event = int(np.argmax((counts < 0).any(1)))
            raise InputError(
                f"the events: event {event} (counted from 0) has {counts[event].min():g} of a"
                " token; counts are 0 or more."
            )
        return counts


def _mean_logarithm(parameters: Floats) -> Floats:
    """Return exp < ln p > of Dirichlet distributions with `parameters` (..., K), of this shape."""
    total = parameters.sum(-1, keepdims=True)
    result: Floats = np.exp(digamma(parameters) - digamma(total)) + TINY
    return result


def _mixed(counts: Floats, gamma: Floats, alpha: Floats, beta: Floats, steps: int) -> Floats:
    """Return the parameters of the events' shares, (N, K), after some updates."""
    for _ in range(steps):
        theta = _mean_logarithm(gamma)
        gamma = alpha + theta * ((counts / (theta @ beta)) @ beta.T)
    return gamma
