"""Trigger-level records (data scouting): what a bump search can still measure from small events.

A full event is large, so that a loose item is prescaled. A record of what the trigger itself has
computed is small, and is kept for every event that the item accepts: more events, at the resolution
of the trigger (1708.07116, 1804.03496).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.events.binning import rising
from colliderkit.events.tables import Floats
from colliderkit.methods.search.spectrum import FAMILIES, columns_of, fitted
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["dijet_mass", "expected_limit"]


def dijet_mass(pt: ArrayLike, eta: ArrayLike, phi: ArrayLike) -> Floats:
    """Return the mass of the first two of massless objects, (N, 2 or more) -> (N,), in pt's unit.

    m^2 = 2 pt_1 pt_2 (cosh(eta_1 - eta_2) - cos(phi_1 - phi_2)).
    """
    p, e, f = (np.asarray(x, dtype=np.float64)[:, :2].T for x in (pt, eta, phi))
    square = 2 * p[0] * p[1] * (np.cosh(e[0] - e[1]) - np.cos(f[0] - f[1]))
    mass: Floats = np.sqrt(np.maximum(square, 0))
    return mass


def expected_limit(
    counts: ArrayLike,
    edges: ArrayLike,
    template: ArrayLike,
    *,
    scale: float = 1.0,
    family: str = "dijet",
    order: int = 3,
    confidence: float = 0.95,
    replicas: int = 100,
    seed: int = 0,
) -> Value:
    """Return the strength of a signal that data without one exclude in the median, ± its error.

    The data have the smooth spectrum b that is fitted to `counts` (B,) in bins of `edges` (B + 1,)
    (`order` parameters of `family` beside the norm), times `scale`; the signal is the strength
    times `template` (B,). With the parameters of b free, in the limit of many events,

        limit = z sigma,   sigma^-2 = I_ss - I_sc I_cc^-1 I_cs,
        I_ss = sum s^2/b,  I_sc = sum s C,  I_cc = C^T diag(b) C,

    where C are the columns of ln b and z = 1.64 at 95%. The error is the spread over `replicas`
    Poisson draws of the counts. Raises `InputError` for shapes that differ, a template without
    events, and spectra that cannot be fitted.
    """
    limits = rising(edges, "edges")
    spectrum, signal = (np.asarray(x, dtype=np.float64) for x in (counts, template))
    bins = len(limits) - 1
    if spectrum.shape != (bins,) or signal.shape != (bins,):
        raise InputError(
            f"counts of shape {spectrum.shape} and a template of {signal.shape} are in {bins} bins;"
            " give one number a bin of each."
        )
    if not signal.any():
        raise InputError("the template has no events inside of the edges; move them.")
    if family not in FAMILIES:
        raise InputError(f"family '{family}' is none of {', '.join(FAMILIES)}.")
    columns = columns_of(family, limits, order)
    random = np.random.default_rng(derive(seed, "limits"))
    drawn = random.poisson(spectrum, (replicas, bins)).astype(np.float64)
    everywhere = np.ones(bins, dtype=bool)
    fit = fitted(columns, np.log(np.diff(limits)), np.vstack([spectrum, drawn]), everywhere)
    if not fit.converged.all():
        raise InputError(
            f"the {family} function cannot be fitted to the spectrum from {limits[0]:g} to"
            f" {limits[-1]:g} with {spectrum.sum():g} events; take other edges or another order."
        )
    b = scale * fit.expected
    own = (signal**2 / b).sum(1)
    mixed = signal @ columns
    curvature = np.einsum("eb,bi,bj->eij", b, columns, columns)
    lost = np.linalg.solve(curvature, np.broadcast_to(mixed, (len(b), len(mixed)))[..., None])
    information = own - lost[..., 0] @ mixed
    strength = norm.ppf(confidence) / np.sqrt(information)
    return Value(float(strength[0]), float(strength[1:].std(ddof=1)))
