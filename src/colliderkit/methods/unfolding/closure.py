"""Closure test of unfoldings: spectra of several observables against a truth that is known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import coarse_edges
from colliderkit.methods.unfolding.binned import (
    IterationCurve,
    IterativeBayes,
    MatrixInversion,
    iteration_curve,
)
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.metrics.separation import TriangularDiscriminator, binned_separation, separation

__all__ = ["ClosureTest", "Counts", "Spectra"]

Floats = NDArray[np.float64]
Counts = tuple[Floats, Floats]  # contents of bins (T,), and their variances or covariance


@dataclass
class Spectra:
    """Unfolded spectra of K observables by one method, None where it has none.

    `note` says what was chosen. `trainings` are the spectra of each network, where there are
    several; `edges` those of the truth, where they are the method's own.
    """

    spectra: Sequence[Counts | None]
    note: str = ""
    trainings: Sequence[Sequence[Counts]] = field(default_factory=list)
    edges: Sequence[Floats] | None = None


@dataclass(frozen=True)
class ClosureTest:
    """Unfold a nature whose truth is known, observable by observable.

    `sample` (see `UnfoldingSample`) holds tables of K observables, `truth` (M, K) what should come
    out; `truth_edges` and `reco_edges` are the bins of each observable.
    """

    sample: UnfoldingSample
    truth: Floats
    truth_edges: Sequence[Floats]
    reco_edges: Sequence[Floats]

    def expected(self, i: int, edges: Floats | None = None) -> Floats:
        """Return the contents of observable i that should come out."""
        limits = self.truth_edges[i] if edges is None else edges
        return np.histogram(self.truth[:, i], limits)[0].astype(np.float64)

    def spectrum(self, i: int, push: Floats | float = 1.0) -> Counts:
        """Return contents and variances of the simulated truth of observable i, weighted."""
        weight = self.sample.weight * self.sample.pass_truth * push
        x, edges = self.sample.truth[:, i], self.truth_edges[i]
        contents, variances = (np.histogram(x, edges, weights=w)[0] for w in (weight, weight**2))
        return contents.astype(np.float64), variances.astype(np.float64)

    def weighted(
        self, pushes: Sequence[Floats], note: str = "", trainings: Sequence[Iterable[Floats]] = ()
    ) -> Spectra:
        """Return the spectra by the push weights (N,) of each observable, and of each training."""
        return Spectra(
            [self.spectrum(i, push) for i, push in enumerate(pushes)],
            note,
            [[self.spectrum(i, push) for push in of_one] for i, of_one in enumerate(trainings)],
        )

    def iterative_bayes(self, iteration: int) -> tuple[Spectra, Spectra, IterationCurve]:
        """Unfold each observable in bins by D'Agostini's iteration.

        Returns the spectra after as many iterations, those after the number that the curve of each
        observable chooses, and the joined curve.
        """
        equal: list[Counts] = []
        best: list[Counts] = []
        curves = []
        for i, (truth_edges, reco_edges) in enumerate(self._edges()):
            sample = self.sample.observable(i)
            response = Response.of(sample, truth_edges, reco_edges)
            data = response.count(sample)
            curves.append(iteration_curve(response, *data, iterations=20))
            for count, spectra in ((iteration, equal), (curves[-1].best, best)):
                method = IterativeBayes(
                    truth_edges=truth_edges.tolist(),
                    reco_edges=reco_edges.tolist(),
                    iterations=count,
                ).fit_histogram(*data, response)
                spectra.append((method.spectrum_, method.covariance_))
        numbers = ", ".join(str(curve.best) for curve in curves)
        return (
            Spectra(equal, f"iteration {iteration}"),
            Spectra(best, f"iterations {numbers}"),
            IterationCurve.joined(curves),
        )

    def inverted(self, bins: int = 10) -> Spectra:
        """Unfold each observable by the inverse of its response matrix, in few bins of the truth.

        In as many as at detector level it oscillates beyond zero, or does not exist.
        """
        spectra: list[Counts | None] = []
        edges = [coarse_edges(limits, bins) for limits in self.truth_edges]
        for i, limits in enumerate(edges):
            method = MatrixInversion(
                truth_edges=limits.tolist(), reco_edges=self.reco_edges[i].tolist()
            )
            try:
                method.fit_sample(self.sample.observable(i))
            except InputError as error:
                print(f"observable {i}: {error}", flush=True)
                spectra.append(None)
                continue
            spectra.append((method.spectrum_, method.covariance_))
        note = f"{bins} bins, so that D and its floor are smaller"
        return Spectra(spectra, note, edges=edges)

    def separations(
        self, i: int, answers: Mapping[str, Spectra]
    ) -> dict[str, list[TriangularDiscriminator]]:
        """Return D of observable i to the truth: of each training, or of the one spectrum there is.

        The first are the "simulation" and the "data" as they are. There is none of a spectrum
        that is negative: an inverse can have bins so far below zero that they stay there with the
        truth added.
        """
        truth = self.expected(i)
        x, weight = self.sample.data[:, i], self.sample.data_weight
        distances = {
            "simulation": [binned_separation(*self.spectrum(i), truth, truth)],
            "data": [separation(x, self.truth[:, i], self.truth_edges[i], weight=weight)],
        }
        for name, answer in answers.items():
            known = self.expected(i, None if answer.edges is None else answer.edges[i])
            distances[name] = [
                binned_separation(*each, known, known)
                for each in (answer.trainings[i] if answer.trainings else [answer.spectra[i]])
                if each is not None and (each[0] / each[0].sum() + known / known.sum() >= 0).all()
            ]
        return distances

    def floor(self, i: int, events: float) -> TriangularDiscriminator:
        """Return D of the simulation with the total weight `events`, for its counting floor."""
        truth = self.expected(i)
        return binned_separation(*self.spectrum(i, events / len(self.sample.truth)), truth, truth)

    def _edges(self) -> Sequence[tuple[Floats, Floats]]:
        return list(zip(self.truth_edges, self.reco_edges, strict=True))
