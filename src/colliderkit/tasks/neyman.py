"""The task of Neyman's construction: intervals of a fitted parameter with exact coverage."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.inference.neyman import NeymanConstruction
from colliderkit.methods.inference.parameter_fit import ParameterFit
from colliderkit.methods.method import load, saved_name
from colliderkit.metrics.intervals import profile_intervals
from colliderkit.report.results import Result
from colliderkit.tasks.ratio import read_sample
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["NeymanTask"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Files = list[str] | str


class NeymanTask(Task):
    """Construct intervals of one parameter by pseudo-experiments of a parameter fit."""

    methods = ("neyman-construction",)

    def read(
        self, method: NeymanConstruction, *, fit: Path, events: int, points: int = 21
    ) -> Inputs:
        """Find the critical values of a parameter's likelihood ratio by pseudo-experiments.

        An experiment at theta is drawn from the reference of the fit, each event as often as
        p(x | theta) / p0(x) says.

        Args:
            fit: a folder written by fit parameters, of one free parameter.
            events: events of an experiment, as many as the data will have.
            points: values of theta within the trained range.

        Examples:
            colliderkit fit neyman-construction --fit fit --events 1000 --out belt
        """
        fitted, scan = _fit_and_scan(fit, points)
        assert fitted.reference_weight_ is not None
        reference, weight = fitted.reference_, fitted.reference_weight_
        if (weight < 0).any():
            raise InputError(f"{fit}: its reference has negative weights; none can be drawn.")
        log_ratio = fitted.log_ratios(reference, scan)

        def simulate(theta: float, count: int, random: np.random.Generator) -> Ints:
            density = weight * np.exp(log_ratio[:, int(np.argmin(np.abs(scan - theta)))])
            return random.multinomial(events, density / density.sum(), count)

        def log_likelihood(counts: Ints, values: Floats) -> Floats:
            return fitted.scan(reference, values, weight=counts)

        arguments = {"scan": scan, "simulate": simulate, "log_likelihood": log_likelihood}
        return Inputs(method, arguments)

    def evaluate(
        self,
        method: NeymanConstruction,
        reading: Reading,
        *,
        fit: Path,
        data: Files,
        weight: str | None = None,
    ) -> Evaluation:
        """Find the interval of data, beside that of the likelihood's asymptotic form (Wilks).

        Args:
            fit: the folder of fit parameters that the construction was made with.
            data: files of the data.
            weight: an expression of their weights; else events count one.

        Examples:
            colliderkit evaluate neyman-construction --fit fit --data data.root --out interval
        """
        fitted, _ = _fit_and_scan(fit, len(method.scan_))
        sample = read_sample(fitted.ratio_, data, reading, weight=weight)
        log_likelihood = fitted.scan(sample.events, method.scan_, weight=sample.weight)
        (name,) = fitted.free
        results = []
        for text, interval in (
            ("Neyman", method.intervals(log_likelihood)),
            ("Wilks", profile_intervals(method.scan_, log_likelihood, method.confidence)),
        ):
            for end in ("low", "best", "high"):
                value = float(getattr(interval, end)[0])
                # An empty interval, or an end outside of the scan, is no number.
                if np.isfinite(value):
                    results.append(Result(f"{name}, {text}", end, value))
        return Evaluation(f"{name} of {len(sample.events)} events", results)


def _fit_and_scan(folder: Path, points: int) -> tuple[ParameterFit, Floats]:
    """Load a fit of one parameter; return it and its values in the trained range, (points,)."""
    if saved_name(folder) != ParameterFit.name:
        raise InputError(f"{folder}: holds '{saved_name(folder)}'; give one of fit parameters.")
    fitted: ParameterFit = load(folder)
    if len(fitted.free) != 1:
        raise InputError(f"{folder}: leaves {', '.join(fitted.free)} free; fix all but one.")
    if points < 3:
        raise InputError(f"points is {points}; it must be at least 3.")
    if fitted.reference_ is None:
        raise InputError(f"{folder}: has no reference to draw experiments from; fit with one.")
    low, high = fitted.ratio_.range_[:, list(fitted.ratio_.parameters).index(fitted.free[0])]
    return fitted, np.linspace(low, high, points)
