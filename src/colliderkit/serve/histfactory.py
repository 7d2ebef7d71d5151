"""From a learned summary to HistFactory: a workspace that pyhf reads, validates and fits.

pyhf and iminuit are imported where they are used: they come with ``pip install pyhf[minuit]``.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_file
from colliderkit.methods.inference.templates import Templates
from colliderkit.metrics.value import Value

__all__ = ["fit_workspace", "workspace", "write_workspace"]

Floats = NDArray[np.float64]
# Polynomial within one standard deviation, so that the likelihood is smooth at its centre.
INTERPOLATION = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


def workspace(
    templates: Templates,
    observed: ArrayLike | None = None,
    *,
    channel: str = "summary",
    luminosity: float | None = None,
    staterror: bool = True,
    maximum: float = 10.0,
) -> dict[str, Any]:
    """Return a HistFactory workspace (JSON values) of two samples and one channel.

    The strength mu multiplies the signal within [-maximum, maximum]. A constrained nuisance
    parameter becomes a `normsys` where it changes yields alone and a `histosys` otherwise, both
    at one standard deviation to either side; a free one becomes a `normfactor` if it changes
    yields in proportion, and cannot be written otherwise. `staterror` takes the fluctuation of
    the simulated events along, and `luminosity` a relative error common to both samples. Without
    `observed` (K,) the data are the expectation. Bins in which nothing is expected are left out.
    """
    kept = np.flatnonzero(templates.counts.sum(0) > 0)
    data = templates.counts.sum(0) if observed is None else np.asarray(observed, dtype=np.float64)
    if data.shape != templates.counts[0].shape:
        raise InputError(f"{data.size} observed counts for {templates.counts.shape[1]} bins.")
    if empty := float(np.delete(data, kept).sum()):
        raise InputError(
            f"{empty:g} observed events lie in bins where nothing is expected; merge those bins."
        )
    samples = []
    for row, name in ((1, "signal"), (0, "background")):
        nominal = templates.counts[row, kept]
        modifiers = _systematics(templates, row, kept)
        if row == 1:
            modifiers.insert(0, {"name": "mu", "type": "normfactor", "data": None})
        if staterror:
            error = np.sqrt(templates.variance[row, kept]).tolist()
            modifiers.append({"name": f"mcstat_{channel}", "type": "staterror", "data": error})
        if luminosity is not None:
            modifiers.append({"name": "lumi", "type": "lumi", "data": None})
        samples.append({"name": name, "data": nominal.tolist(), "modifiers": modifiers})
    parameters: list[dict[str, Any]] = [
        {"name": "mu", "bounds": [[-maximum, maximum]], "inits": [1.0]}
    ]
    if luminosity is not None:
        parameters.append(
            {
                "name": "lumi",
                "auxdata": [1.0],
                "sigmas": [luminosity],
                "bounds": [[max(0.0, 1 - 5 * luminosity), 1 + 5 * luminosity]],
                "inits": [1.0],
            }
        )
    return {
        "channels": [{"name": channel, "samples": samples}],
        "observations": [{"name": channel, "data": data[kept].tolist()}],
        "measurements": [
            {"name": "measurement", "config": {"poi": "mu", "parameters": parameters}}
        ],
        "version": "1.0.0",
    }


def write_workspace(spec: dict[str, Any], path: str | Path, *, force: bool = False) -> Path:
    """Write a workspace as JSON, whole or not at all."""
    with atomic_file(path, force) as part:
        part.write_text(json.dumps(spec, indent=1, allow_nan=False) + "\n")
    return Path(path)


def fit_workspace(spec: dict[str, Any]) -> dict[str, Value]:
    """Validate a workspace and return every parameter with its error, by maximum likelihood.

    The errors are those of the inverse Hessian (MINUIT). Raises `InputError` if pyhf or iminuit
    is missing, the workspace is not one, or the fit does not converge.
    """
    try:
        pyhf = import_module("pyhf")
        import_module("iminuit")
    except ImportError as error:
        raise InputError(
            f"fitting a workspace needs {error.name}; pip install pyhf[minuit]."
        ) from error
    try:
        found = pyhf.Workspace(spec)
        model = found.model(modifier_settings=INTERPOLATION)
    except (pyhf.exceptions.InvalidSpecification, pyhf.exceptions.InvalidModel) as error:
        raise InputError(f"this is no workspace: {error}") from error
    before = pyhf.get_backend()
    # The optimiser is one of pyhf's global settings; a caller's choice is put back.
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4))
    try:
        fitted = np.asarray(pyhf.infer.mle.fit(found.data(model), model, return_uncertainties=True))
    except pyhf.exceptions.FailedMinimization as error:
        raise InputError(f"the fit of the workspace does not converge: {error}") from error
    finally:
        pyhf.set_backend(*before)
    names = model.config.par_names
    return {name: Value(float(v), float(e)) for name, (v, e) in zip(names, fitted, strict=True)}


def _systematics(templates: Templates, row: int, kept: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the modifiers of one sample for those nuisance parameters that change it."""
    nominal = templates.counts[row, kept]
    modifiers: list[dict[str, Any]] = []
    for i, nuisance in enumerate(templates.nuisances):
        reach = nuisance.size if nuisance.width is None else nuisance.width
        low, high = (
            templates.processes(_off(templates, i, side * reach))[0][row, kept] for side in (-1, 1)
        )
        if np.allclose([low, high], nominal, rtol=1e-12, atol=0):
            continue
        factors = [side.sum() / nominal.sum() for side in (low, high)]
        even = all(
            np.allclose(side, factor * nominal, rtol=1e-9)
            for side, factor in zip((low, high), factors, strict=True)
        )
        if nuisance.width is None:
            if not even or not np.isclose(factors[1] - 1, reach / nuisance.nominal):
                raise InputError(
                    f"nuisance '{nuisance.name}' is free and changes shapes, which HistFactory"
                    " cannot hold; give it a width."
                )
            modifiers.append({"name": nuisance.name, "type": "normfactor", "data": None})
        elif even:
            sizes = {"lo": float(factors[0]), "hi": float(factors[1])}
            modifiers.append({"name": nuisance.name, "type": "normsys", "data": sizes})
        else:
            sides = {"lo_data": low.tolist(), "hi_data": high.tolist()}
            modifiers.append({"name": nuisance.name, "type": "histosys", "data": sides})
    return modifiers


def _off(templates: Templates, index: int, change: float) -> Floats:
    theta = templates.nominal
    theta[index] += change
    return theta
