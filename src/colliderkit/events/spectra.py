"""Weights that make the classes equal in total, or in their (pt, eta) spectra."""

from typing import Any, Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import labels_of, weights_of

__all__ = ["class_weights", "spectrum_weights"]

Floats = NDArray[np.float64]


def class_weights(label: NDArray[np.integer[Any]], weight: Floats) -> Floats:
    """Return factors (N,) that give each class the same summed `weight`, of mean 1 over events.

    Raises `InputError` for a class whose weights do not sum to a positive number.
    """
    classes, place = np.unique(label, return_inverse=True)
    total = np.bincount(place, weight)
    if not (total > 0).all():
        worst = classes[int(np.argmin(total))]
        raise InputError(f"the weights of class {worst} sum to {total.min():.3g}, not above 0.")
    return (weight.sum() / len(classes) / total)[place]


def spectrum_weights(
    jets: ak.Array,
    *,
    reference: Literal["flat"] | int = "flat",
    pt_bins: int = 20,
    eta_bins: int = 10,
) -> Floats:
    """Return factors (N,) that take the (pt, eta) spectrum of each class to the reference.

    The reference is flat over the bins that a class fills, or the spectrum of the class of that
    label. Bins are of equal population of all jets together. A factor multiplies the jets' own
    weights; the sum of weights of each class stays. Where the reference has jets and a class has
    none nothing can be done; bins in which the reference is empty get factor 0.
    """
    label, weight = labels_of(jets), weights_of(jets)
    pt = np.asarray(ak.to_numpy(jets["jet_pt"]), dtype=np.float64)
    eta = np.asarray(ak.to_numpy(jets["jet_eta"]), dtype=np.float64)
    place = _place(pt, pt_bins) * eta_bins + _place(eta, eta_bins)
    size = pt_bins * eta_bins
    factor = np.zeros(len(jets))
    if reference != "flat" and not (label == reference).any():
        raise InputError(f"the reference class {reference} of the spectrum has no jets.")
    for k in np.unique(label):
        own = label == k
        found = np.bincount(place[own], weight[own], size)
        if reference == "flat":
            wanted = (found > 0).astype(np.float64)
        else:
            like = label == reference
            wanted = np.clip(np.bincount(place[like], weight[like], size), 0, None) * (found > 0)
        ratio = np.divide(wanted, found, out=np.zeros(size), where=found > 0)
        factor[own] = ratio[place[own]]
        total = (factor[own] * weight[own]).sum()
        if not total > 0:
            raise InputError(f"class {k} and the reference have no (pt, eta) in common.")
        factor[own] *= weight[own].sum() / total
    return factor


def _place(values: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each value among bins of equal population."""
    inner = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(inner, values, side="right")
