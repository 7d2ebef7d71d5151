import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.weights import class_weights, planing_weights, spectrum_weights


def jets(label, pt, eta=None, weight=None) -> ak.Array:
    columns = {"label": np.array(label), "jet_pt": np.array(pt, dtype=np.float32)}
    columns["jet_eta"] = np.zeros(len(pt)) if eta is None else np.array(eta, dtype=np.float32)
    if weight is not None:
        columns["weight"] = np.array(weight, dtype=np.float64)
    return ak.Array(columns)


def test_class_weights_are_equal_in_total() -> None:
    found = class_weights(np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 2 / 3, 2])
    found = class_weights(np.array([5, 2, 2, 5]), np.array([1.0, 3.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [1, 1.5, 0.5, 1])
    found = class_weights(np.array([0, 0, 0, 1]), np.array([2.0, -1.0, 1.0, 4.0]))
    np.testing.assert_allclose([found[:3].sum(), found[3:].sum(), found.mean()], [2, 2, 1])
    assert found[1] < 0
    with pytest.raises(InputError, match="the weights of class 1 sum to -1"):
        class_weights(np.array([0, 1]), np.array([1.0, -1.0]))


def test_flat_by_hand() -> None:
    # Class 0: three jets in the first bin, one in the second; class 1: one and one.
    events = jets([0, 0, 0, 0, 1, 1], [1, 1, 1, 3, 1, 3])
    found = spectrum_weights(events, pt_bins=[0, 2, 4], eta_bins=1)
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 2 / 3, 2, 1, 1])


def test_reference_by_hand() -> None:
    events = jets([0, 0, 0, 0, 1, 1], [1, 1, 1, 3, 1, 3])
    found = spectrum_weights(events, reference=0, pt_bins=[0, 2, 4], eta_bins=1)
    np.testing.assert_allclose(found, [1, 1, 1, 1, 1.5, 0.5])


def test_existing_weights_count() -> None:
    events = jets([0, 0, 0, 1, 1], [1, 1, 3, 1, 3], weight=[1, 3, 4, 5, 1])
    found = spectrum_weights(events, pt_bins=[0, 2, 4], eta_bins=1)
    # Within a bin the ratio 1:3 stays; both bins of each class weigh the same.
    np.testing.assert_allclose(found, [0.375, 1.125, 1.5, 1, 1])
    found = spectrum_weights(events, reference=1, pt_bins=[0, 2, 4], eta_bins=1)
    np.testing.assert_allclose(found[3:], [5 / 3, 1 / 3])
    np.testing.assert_allclose(found[:3], [0.625, 1.875, 0.5])


def test_empty_bins_and_overflow() -> None:
    # The middle bin is empty; 99 is beyond the last edge and stays in the last bin.
    events = jets([0, 0, 0, 1, 1], [1, 1, 99, 1, 5])
    found = spectrum_weights(events, pt_bins=[0, 2, 4, 6], eta_bins=[-1, 1])
    np.testing.assert_allclose(found, [0.75, 0.75, 1.5, 1, 1])
    # Where the reference has no jets the others have no weight.
    events = jets([0, 0, 1, 1], [1, 1, 1, 5])
    found = spectrum_weights(events, reference=0, pt_bins=[0, 2, 6], eta_bins=1)
    np.testing.assert_allclose(found, [1, 1, 2, 0])


def test_both_axes_on_random_spectra() -> None:
    random = np.random.default_rng(0)
    n = 20_000
    label = random.integers(0, 3, n)
    pt = 500 + random.exponential(60 + 30 * label)
    eta = random.normal(0.1 * label, 0.8, n)
    weight = random.uniform(0.5, 1.5, n)
    pt_bins, eta_bins = np.linspace(500, 700, 6), np.linspace(-2, 2, 5)
    events = jets(label, pt, eta, weight)
    inside = (np.clip(pt, 500, 699), np.clip(eta, -1.99, 1.99))
    for reference in ("flat", 2):
        found = spectrum_weights(events, reference=reference, pt_bins=pt_bins, eta_bins=eta_bins)
        spectra = [
            np.histogram2d(
                inside[0][label == i],
                inside[1][label == i],
                [pt_bins, eta_bins],
                weights=found[label == i],
            )[0]
            / found[label == i].sum()
            for i in range(3)
        ]
        expected = np.full((5, 4), 1 / 20) if reference == "flat" else spectra[2]
        for i in range(3):
            np.testing.assert_allclose(spectra[i], expected, rtol=1e-9)
            np.testing.assert_allclose(found[label == i].mean(), 1, rtol=1e-12)
        if reference == 2:
            own = label == 2
            np.testing.assert_allclose(found[own], weight[own] / weight[own].mean(), rtol=1e-9)


def test_one_class_without_labels_can_be_flat() -> None:
    events = jets([0, 0, 0], [1, 1, 3])[["jet_pt", "jet_eta"]]
    found = spectrum_weights(events, pt_bins=2, eta_bins=3)
    np.testing.assert_allclose(found, [0.75, 0.75, 1.5])


def test_mistakes_are_named() -> None:
    events = jets([0, 1], [1, 5])
    with pytest.raises(InputError, match="reference class 7 has no jets"):
        spectrum_weights(events, reference=7)
    with pytest.raises(InputError, match=r"pt_bins \[3, 2\] must be"):
        spectrum_weights(events, pt_bins=[3, 2])
    with pytest.raises(InputError, match="eta_bins 0 must be"):
        spectrum_weights(jets([0, 1], [1, 5], [0, 1]), eta_bins=0)
    with pytest.raises(InputError, match=r"class 1 shares no .* bin with the reference 0"):
        spectrum_weights(events, reference=0, pt_bins=[0, 2, 6])
    with pytest.raises(InputError, match="all jets are of class"):
        spectrum_weights(events[:1], reference=0)


def test_planing_by_hand() -> None:
    """Of one column as `spectrum_weights`; of two, bins are pairs."""
    label, mass = np.array([0, 0, 0, 0, 1, 1]), np.array([1.0, 1, 1, 3, 1, 3])
    found = planing_weights({"m": mass}, label, np.ones(6), reference=1, bins=[0, 2, 4])
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 2 / 3, 2, 1, 1])
    pt = np.array([1.0, 1, 3, 3, 1, 3])
    found = planing_weights({"m": mass, "pt": pt}, label, np.ones(6), bins=[0, 2, 4])
    # Class 0 is in three pairs of bins, twice in the first; class 1 once in each of two.
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 4 / 3, 4 / 3, 1, 1])
    with pytest.raises(InputError, match="class 1 shares no m bin with"):
        planing_weights({"m": label}, label, np.ones(6), reference=0, bins=2)
