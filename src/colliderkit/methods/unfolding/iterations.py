"""Stopping rule for OmniFold: bias and variance of each iteration, and its fit to the data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.binning import bins_of, rising
from colliderkit.methods.unfolding.binned import IterationCurve
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.response import over
from colliderkit.methods.unfolding.result import BOOTSTRAP
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.uncertainty import Replicas, replicate

__all__ = ["Choice", "Histograms", "choose_iteration"]

Floats = NDArray[np.float64]
Edges = Sequence[ArrayLike]


@dataclass(frozen=True)
class Histograms:
    """Histograms that judge an unfolding: K observables in bins at both levels.

    `truth`, `reco` (N, K) of the simulation and `data` (D, K) need not be what was unfolded;
    `truth_edges`, `reco_edges` are the K edges of each level. Events outside do not count.
    """

    truth: Floats
    reco: Floats
    data: Floats
    truth_edges: Edges
    reco_edges: Edges

    @classmethod
    def of(cls, sample: UnfoldingSample, truth_edges: Edges, reco_edges: Edges) -> Self:
        """Return those of the columns that are unfolded."""
        return cls(sample.truth, sample.reco, sample.data, truth_edges, reco_edges)

    def __post_init__(self) -> None:
        for table, edges, what in (
            (self.truth, self.truth_edges, "truth"),
            (self.reco, self.reco_edges, "reco"),
            (self.data, self.reco_edges, "reco"),
        ):
            if table.ndim != 2 or table.shape[1] != len(edges):
                raise InputError(
                    f"{what} has shape {table.shape} and {len(edges)} sets of edges; give one an"
                    " observable."
                )

    def of_truth(self, weight: Floats) -> Floats:
        """Return the bins' contents at truth level, one observable after the other."""
        return counted(self.truth, weight, self.truth_edges)

    def of_reco(self, weight: Floats) -> Floats:
        """Return the bins' contents of the simulation at detector level."""
        return counted(self.reco, weight, self.reco_edges)

    def of_data(self, weight: Floats) -> Floats:
        """Return the bins' contents of the data."""
        return counted(self.data, weight, self.reco_edges)


@dataclass(frozen=True)
class Choice:
    """Curve of all iterations, the replicas that its variance comes from, and the best of them."""

    curve: IterationCurve
    replicas: Replicas

    @property
    def iteration(self) -> int:
        """The iteration of the smallest squared error, counted from 1."""
        return self.curve.best

    @property
    def weights(self) -> Floats:
        """The nominal push weights (N,) after that iteration."""
        return self.replicas.nominal[self.iteration]


def choose_iteration(
    method: OmniFold,
    sample: UnfoldingSample,
    histograms: Histograms,
    *,
    bootstraps: int = 10,
    members: int = 1,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Choice:
    """Choose after which iteration to stop, from replicas of the unfolding of `sample`.

    With n_k the spectrum after iteration k = 1 ... I in all bins, and I the method's iterations,

    - variance: that of n_k over the bootstraps;
    - bias: U_k(pseudo-data) - n_I, where the pseudo-data are the simulation at detector level
      with the weights of iteration I, so that their truth n_I is known, and U_k unfolds them from
      the simulation as it was;
    - chi^2: of the simulation with the weights of iteration k against the data, fakes included,
      by the counting of both.

    The bins are those of `histograms`; further options are those of `replicate`.
    """
    if bootstraps < 2:
        raise InputError(f"bootstraps is {bootstraps}; a variance needs at least 2.")
    replicas = replicate(
        method,
        sample,
        bootstraps=bootstraps,
        members=members,
        seed=seed,
        workers=workers,
        folder=folder,
        resume=resume,
        progress=progress,
    )
    again = replicate(
        clone(method),
        pseudo_data(sample, replicas.nominal[-1]),
        members=members,
        seed=seed,
        workers=workers,
        folder=None if folder is None else Path(folder) / "pseudo-data",
        resume=resume,
        progress=progress,
    )
    return Choice(_curve(sample, histograms, replicas, again), replicas)


def pseudo_data(sample: UnfoldingSample, push: Floats) -> UnfoldingSample:
    """Return the sample with the simulation's own events, weighted by `push`, for its data.

    They have no fluctuations against the simulation: each event stands on both sides, and on the
    same side of the split into training and validation.
    """
    seen = sample.pass_reco
    return replace(
        sample,
        data=sample.reco[seen],
        data_weight=folded(sample, push)[seen],
        data_event=sample.event[seen],
    )


def folded(sample: UnfoldingSample, push: Floats) -> Floats:
    """Return the weights (N,) of simulated events at detector level, 0 where not seen.

    Fakes have the mean push weight of the true events that are seen, as in `OmniFold`.
    """
    both = sample.both
    mean = float(np.average(push[both], weights=sample.weight[both]))
    return np.where(sample.pass_truth, push, mean) * sample.weight * sample.pass_reco


def _curve(
    sample: UnfoldingSample, histograms: Histograms, replicas: Replicas, again: Replicas
) -> IterationCurve:
    true = sample.weight * sample.pass_truth
    spectra = np.array([histograms.of_truth(true * push) for push in replicas.nominal[1:]])
    pseudo = np.array([histograms.of_truth(true * push) for push in again.nominal[1:]])
    boots = np.array(
        [
            [histograms.of_truth(true * push) for push in pushes[1:]]
            for pushes, kind in zip(replicas.weights, replicas.kinds, strict=True)
            if kind == BOOTSTRAP
        ]
    )
    data, data_variance = (
        histograms.of_data(w) for w in (sample.data_weight, sample.data_weight**2)
    )
    chi2 = []
    for push in replicas.nominal[1:]:
        weight = folded(sample, push)
        expected, variance = (histograms.of_reco(w) for w in (weight, weight**2))
        chi2.append(over((expected - data) ** 2, variance + data_variance).sum())
    return IterationCurve(np.array(chi2), pseudo - spectra[-1], boots.var(0, ddof=1), spectra)


def counted(table: Floats, weight: Floats, edges: Edges) -> Floats:
    """Return the contents of all bins of all columns (N, K), one column after the other."""
    parts = []
    for column, limits in zip(np.asarray(table, np.float64).T, edges, strict=True):
        bins = rising(limits, "the edges of the bins")
        bin_of, inside = bins_of(column, bins)
        parts.append(np.bincount(bin_of[inside], weight[inside], len(bins) - 1))
    return np.concatenate(parts).astype(np.float64)
