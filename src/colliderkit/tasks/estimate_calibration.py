"""The task of calibrating estimates by pseudo-experiments: files of estimates and their truth."""

from pathlib import Path

import numpy as np

from colliderkit.errors import InputError
from colliderkit.methods.inference.estimates import Estimate, EstimateCalibration
from colliderkit.sources import write
from colliderkit.sources.files.rows import Rows, split_expressions
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Inputs, Task

__all__ = ["EstimateCalibrationTask"]

Files = list[str] | str
Texts = list[str] | str


class EstimateCalibrationTask(Task):
    """Correct estimates of parameters, and widen their errors, by pseudo-experiments."""

    methods = ("estimate-calibration",)

    def read(
        self,
        method: EstimateCalibration,
        reading: Reading,
        *,
        experiments: Files,
        estimates: Texts,
        errors: Texts,
        truth: Texts,
        weight: str | None = None,
    ) -> Inputs:
        r"""Calibrate estimates by pseudo-experiments at known parameters.

        Args:
            experiments: ROOT, HDF5 or Parquet files with a row an experiment.
            estimates: their columns of estimates, or expressions, one a parameter.
            errors: columns of the claimed errors, one a parameter.
            truth: columns of the true values, one a parameter.
            weight: an expression of the weights of the experiments; else they count one.

        Examples:
            colliderkit fit estimate-calibration --experiments toys.root --estimates fit_mu \
              --errors fit_error --truth mu --out calibration
        """
        names, claimed, true = (split_expressions(texts) for texts in (estimates, errors, truth))
        if not len(names) == len(claimed) == len(true):
            raise InputError(
                f"estimates are {len(names)}, errors {len(claimed)} and truth {len(true)} columns;"
                " give one each for every parameter."
            )
        extra = [] if weight is None else [weight]
        rows = reading.rows(experiments, [*names, *claimed, *true, *extra])
        arguments = {
            "estimates": _estimates(rows, names, claimed),
            "truth": rows.table(true),
            "weight": None if weight is None else rows.table(extra)[:, 0],
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: EstimateCalibration,
        reading: Reading,
        files: Files,
        *,
        errors: Texts,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write "NAME calibrated" and "NAME calibrated error" beside all that was read.

        Args:
            files: files with a row an estimate, in the columns that the fit had.
            errors: columns of the claimed errors, one a parameter.

        Examples:
            colliderkit apply calibration fits.root --errors fit_error --out calibrated.parquet
        """
        names, claimed = method.names_, split_expressions(errors)
        if len(claimed) != len(names):
            raise InputError(f"errors are {len(claimed)} columns for {', '.join(names)}.")
        rows = reading.rows(files, [*names, *claimed], own=True)
        corrected = [method.correct(estimate) for estimate in _estimates(rows, names, claimed)]
        added = {}
        for i, name in enumerate(names):
            added[f"{name} calibrated"] = np.array([estimate.theta[i] for estimate in corrected])
            added[f"{name} calibrated error"] = np.array([e.error[i] for e in corrected])
        write(out, beside(rows.own, added), force=force)


def _estimates(rows: Rows, names: list[str] | tuple[str, ...], errors: list[str]) -> list[Estimate]:
    """Return one estimate a row, whose parameters are not correlated."""
    theta, sigma = rows.table(names), rows.table(errors)
    return [
        Estimate(tuple(names), row, np.diag(error**2))
        for row, error in zip(theta, sigma, strict=True)
    ]
