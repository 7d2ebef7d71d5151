"""Class, spectrum and planing weights.

They take the size of a class, the jets' (pt, eta) spectrum or that of any column out of training.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import labels_of, weights_of

__all__ = ["class_weights", "planing_weights", "spectrum_weights"]

Bins = int | Sequence[float]


def class_weights(
    label: NDArray[np.int64], weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    r"""Scale weights so that all classes weigh the same and the mean weight is 1, (N,).

    .. math:: w_i' = w_i \frac{N}{K \sum_{j: y_j = y_i} w_j}

    for K classes present in `label` (N,). Raises `InputError` where the weights of a class do
    not sum to more than zero.
    """
    label = np.asarray(label)
    weight = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=np.float64)
    classes, index = np.unique(label, return_inverse=True)
    total = np.bincount(index, weight)
    if (total <= 0).any():
        wrong = classes[np.argmax(total <= 0)]
        raise InputError(
            f"the weights of class {wrong} sum to {total.min():g}; give positive ones."
        )
    return weight * (len(label) / len(classes) / total)[index]


def spectrum_weights(
    jets: ak.Array,
    *,
    reference: Literal["flat"] | int = "flat",
    pt_bins: Bins = 20,
    eta_bins: Bins = 10,
) -> NDArray[np.float64]:
    r"""Weight each class to one spectrum in (``jet_pt``, ``jet_eta``), (N,).

    .. math:: w_i' \propto w_i \, t_{b(i)} / \sum_{j: y_j = y_i, b(j) = b(i)} w_j

    with b the bin and t the target: equal in all bins ("flat"), or the weighted histogram of
    class `reference`, whose own weights then stay in proportion. Existing weights count in the
    histograms and in the result. The mean weight of each class is 1.

    `pt_bins` [GeV] and `eta_bins` are edges, the outermost of which hold the overflow, or a
    number of equal bins between the extremes of all jets. A bin without jets of a class is left
    out of its target; a bin where the reference has none gives weight 0. Jets of a bin whose
    weights sum to nothing or less (negative weights) get 0 too. Raises `InputError` for an
    absent reference class, edges that do not rise, or a class left without weight.
    """
    label = labels_of(jets) if reference != "flat" else _labels(jets)
    weight = weights_of(jets)
    pt_bin, n_pt = _binned(ak.to_numpy(jets["jet_pt"]), pt_bins, "pt_bins")
    eta_bin, n_eta = _binned(ak.to_numpy(jets["jet_eta"]), eta_bins, "eta_bins")
    return _matched(pt_bin * n_eta + eta_bin, n_pt * n_eta, label, weight, reference, "(pt, eta)")


def planing_weights(
    columns: Mapping[str, NDArray[np.floating[Any]]],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
    *,
    reference: Literal["flat"] | int = "flat",
    bins: Bins = 50,
) -> NDArray[np.float64]:
    """Weight each class to one spectrum in `columns`, names and values (N,), (N,).

    As `spectrum_weights`, with the bins of each column; for several columns their product. With a
    flat spectrum the bins have equal widths, so that events beyond a long tail weigh much: give
    edges. Raises `InputError` as `spectrum_weights` does.
    """
    index, size = np.zeros(len(label), dtype=np.int64), 1
    for name, values in columns.items():
        column_bin, count = _binned(np.asarray(values), bins, f"bins of {name}")
        index, size = index * count + column_bin, size * count
    return _matched(index, size, label, weight, reference, ", ".join(columns))


def _matched(
    bins: NDArray[np.int64],
    size: int,
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
    reference: Literal["flat"] | int,
    what: str,
) -> NDArray[np.float64]:
    """Return weights that give each class the target's share of every bin, of mean 1 a class."""
    if reference == "flat":
        target = np.ones(size)
    elif (label == reference).any():
        in_reference = label == reference
        target = np.bincount(bins[in_reference], weight[in_reference], size).clip(min=0)
    else:
        raise InputError(f"reference class {reference} has no jets; choose of {np.unique(label)}.")
    result = np.zeros(len(label))
    for each in np.unique(label):
        in_class = label == each
        content = np.bincount(bins[in_class], weight[in_class], size)
        factor = np.divide(target, content, out=np.zeros(size), where=content > 0)
        scaled = weight[in_class] * factor[bins[in_class]]
        if scaled.sum() <= 0:
            raise InputError(
                f"class {each} shares no {what} bin with the reference {reference}; take wider"
                " bins or select the same range."
            )
        result[in_class] = scaled * (in_class.sum() / scaled.sum())
    return result


def _labels(jets: ak.Array) -> NDArray[np.int64]:
    """Return the labels; one class, or none at all, can be flattened too."""
    if "label" not in jets.fields:
        return np.zeros(len(jets), dtype=np.int64)
    return np.asarray(ak.to_numpy(jets["label"]), dtype=np.int64)


def _binned(
    values: NDArray[np.floating[Any]], bins: Bins, name: str
) -> tuple[NDArray[np.int64], int]:
    """Return the bin of each value and the number of bins."""
    if isinstance(bins, int):
        low, high = float(values.min()), float(values.max())
        edges = np.linspace(low, high, bins + 1) if bins > 0 else np.zeros(0)
        if low == high:
            return np.zeros(len(values), dtype=np.int64), 1
    else:
        edges = np.asarray(bins, dtype=np.float64)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise InputError(f"{name} {bins} must be at least 1 bin, or edges that rise.")
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2), len(
        edges
    ) - 1
