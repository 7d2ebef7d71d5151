"""Classification without labels (CWoLa): tell mixed samples apart, two or more of them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.methods.search.mixtures.mixed_samples import MixedSamples, check_fractions
from colliderkit.methods.tagging.tagger import Tagger

__all__ = ["WithoutLabels", "principal_weights", "retained"]

Floats = NDArray[np.float64]

SCORED = 20_000  # events that the direction of the signal is found from


class WithoutLabels(MixedSamples):
    """Learn to tell two classes apart by telling mixed samples apart (1708.02949).

    The `label` of a jet is the number of its sample. A classifier of the samples learns
    P(a | x), the probability of sample a. With s(x) = p(signal | x) among all events,

        P(a | x) = s(x) P(a | signal) + (1 - s(x)) P(a | background)

    for any number of samples: the probabilities of an event lie on a line, and

        score = sum_a w_a P(a | x)

    is linear in s(x) for all weights w. It has the ROC curve of the likelihood ratio if and only if
    w rises with the fractions f on average, Cov(w, f) > 0 over the samples. With few events weights
    matter: of the information on a weak signal, N Var(f), the score keeps the squared correlation
    of w and f (`retained`). So the best weights are the fractions, w = f; without `fractions` they
    are the principal axis of the probabilities, which any classifier gives, and only its sign has
    to be known: the last sample has more signal than the first. Of two samples it is P(2 | x).

    Args:
        method: an unfitted `Tagger`, with any network or trees; its two `classes` are those of the
            mixture, the second the signal.
        samples: the names of the samples, in the order of the label.
        fractions: of signal, by the name of the sample, as far as they are known; any rising linear
            function of them gives the same score.
        start: a tagger fitted to simulation, of the same network and inputs, whose weights the
            training begins from (its last layer only if there are two samples).

    After `fit`: `tagger_`, which tells the samples apart, `weights_` (A,), from 0 to 1, and
    `history_`. `predict_proba` gives the score, which is no probability of a class.
    """

    name: ClassVar[str] = "without-labels"

    weights_: Floats

    def __init__(
        self,
        method: Tagger,
        *,
        samples: Sequence[str] = ("less signal", "more signal"),
        fractions: Mapping[str, float] | None = None,
        start: Tagger | None = None,
    ) -> None:
        self.method = method
        self.samples = samples
        self.fractions = fractions
        self.start = start

    @property
    def names(self) -> Sequence[str]:
        return self.samples

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return 1 - score and the score of each jet, (N, 2)."""
        score = self.sample_probabilities(jets) @ self.weights_
        return np.column_stack([1 - score, score])

    def sample_probabilities(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return P(a | x), the probability of each sample among the training events, (N, A)."""
        return self.tagger_.predict_proba(jets)

    def _check(self) -> None:
        super()._check()
        if self.fractions is None:
            return
        if set(self.fractions) != set(self.samples):
            raise InputError(
                f"fractions names {', '.join(self.fractions)} and the samples are"
                f" {', '.join(self.samples)}; give one for each."
            )
        check_fractions(self.fractions)

    def _trained(
        self, jets: ak.Array, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> Tagger:
        tagger = self._fit_tagger(self.samples, None, jets, validation, weight, **where)
        if self.fractions is not None:
            raw = np.array([self.fractions[name] for name in self.samples], dtype=np.float64)
        elif len(self.samples) == 2:
            raw = np.array([0.0, 1.0])
        else:
            some = np.random.default_rng(self.seed_).permutation(len(jets))[:SCORED]
            raw = principal_weights(tagger.predict_proba(jets[np.sort(some)]))
        self.weights_ = (raw - raw.min()) / np.ptp(raw)
        return tagger


def principal_weights(probabilities: Floats) -> Floats:
    """Return weights (A,) along the principal axis of P(a | x), (N, A), rising to the last sample.

    The probabilities are taken in units of sqrt(n_a), n_a their mean, in which those of events
    without information would scatter alike in all directions.
    """
    share = probabilities.mean(0)
    scaled = (probabilities - share) / np.sqrt(share)
    axis = np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
    weights: Floats = axis / np.sqrt(share)
    return weights if weights[-1] > weights[0] else -weights


def retained(weights: ArrayLike, fractions: ArrayLike, shares: ArrayLike) -> float:
    """Return the squared correlation of weights and fractions (A,) over samples of `shares` (A,).

    It is the share of the events that a classifier of all samples with the best weights would need
    for a score as good, in the limit of classes that hardly differ.
    """
    n = np.asarray(shares, dtype=np.float64)
    n = n / n.sum()
    w, f = (np.asarray(v, dtype=np.float64) - n @ np.asarray(v) for v in (weights, fractions))
    return float((n @ (w * f)) ** 2 / ((n @ w**2) * (n @ f**2)))
