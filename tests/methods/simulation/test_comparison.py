"""Comparisons of showers, of samples whose densities are known."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Grid, Layer
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.methods.method import load
from colliderkit.methods.simulation.classifiers import splits
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.methods.simulation.posterior import log_posterior
from colliderkit.methods.simulation.samples import DescribedShowers
from colliderkit.report.showers import strongest as strongest_sentences
from colliderkit.sources.files.showers import mapped_showers, write_showers
from colliderkit.training.settings import Training

GEOMETRY = Geometry.regular("toy", 3, 4, (0, 5, 10, 20))
QUICK = Training(epochs=15, batch_size=200, learning_rate=2e-3, schedule="cosine")
FEW = Training(epochs=3, batch_size=200, learning_rate=2e-3)  # where there is nothing to learn
SPREAD = 0.1


def sample(count: int, seed: int, response: float = 1.0, energy: float = 1000.0) -> Showers:
    """Draw showers with E_tot/E_inc ~ N(response, SPREAD) and shares that say nothing."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(GEOMETRY.voxels, 2.0), count)
    total = energy * random.normal(response, SPREAD, count)
    return Showers.checked(np.full(count, energy), (shares * total[:, None]).astype(np.float32))


def test_two_samples_of_one_density_are_at_the_floor() -> None:
    found = ShowerComparison(classifier=FEW, width=32).fit(
        sample(3000, 1), sample(3000, 2), GEOMETRY, training=sample(1000, 3), progress=False
    )
    for level in ("low-level", "low-level-log", "high-level"):
        area = found.quantities_[f"AUC {level}"]
        assert abs(area.value - 0.5) < 4 * area.error
        # DeLong's error of two samples of n events each without a difference.
        assert area.error == pytest.approx(math.sqrt(2 / (12 * 600)), rel=0.05)
    for name in ("unbiased FPD", "unbiased KPD", "KPD", "MMD"):
        assert abs(found.quantities_[name].value) < 5 * found.quantities_[name].error
    copied = found.quantities_["nearer to the training"]
    assert abs(copied.value - 0.5) < 4 * copied.error
    pulls = np.array([x.excess for x in found.separations_.values() if x.bins > 1])
    # Floors are chi^2 / ndf of many bins, near to normal.
    assert np.abs(pulls).max() < 5
    assert found.quantities_["coverage"].value == pytest.approx(1 - 2**-5, abs=0.02)


@pytest.fixture(scope="module")
def shifted() -> ShowerComparison:
    comparison = ShowerComparison(
        classifier=QUICK, width=32, levels=["high-level"], standardised=True
    )
    return comparison.fit(sample(4000, 1), sample(4000, 2, response=1.1), GEOMETRY, progress=False)


def test_a_shifted_response_has_the_optimal_area(shifted: ShowerComparison) -> None:
    found = shifted
    best = norm.cdf(0.1 / (SPREAD * math.sqrt(2)))
    area = found.quantities_["AUC high-level"]
    assert best - 0.03 < area.value < best + 4 * area.error
    # Two Gaussians one sigma apart: D of their densities, in bins of a tenth of a sigma.
    x = np.linspace(-8, 9, 20_000)
    p, q = norm.pdf(x), norm.pdf(x, 1)
    exact = 0.5 * np.trapezoid((p - q) ** 2 / (p + q), x)
    response = found.separations_["E_tot/E_inc"]
    assert response.value.value - response.floor == pytest.approx(
        exact, abs=4 * response.value.error
    )
    moved = found.quantities_["Wasserstein of E_tot/E_inc"]
    assert moved.value == pytest.approx(0.1, abs=4 * moved.error)


def test_the_probability_is_calibrated(shifted: ShowerComparison) -> None:
    each = shifted.classifications_["high-level"]
    assert len(each.label) == 2 * 800
    gap = each.probability - each.label
    for part in (each.probability < 0.5, each.probability >= 0.5):
        error = math.sqrt((each.probability * (1 - each.probability))[part].mean() / part.sum())
        # The test's own counting, and that of as many validation showers.
        assert abs(gap[part].mean()) < 4 * math.sqrt(2) * error


def test_a_saved_comparison_says_the_same(shifted: ShowerComparison, tmp_path: Path) -> None:
    again = load(shifted.save(tmp_path / "comparison"))
    assert again.quantities_ == shifted.quantities_
    assert again.geometry_ == GEOMETRY
    assert again.separations_ == shifted.separations_
    for one, two in zip(again.histograms_, shifted.histograms_, strict=True):
        np.testing.assert_array_equal(one.mean, two.mean)
    showers = sample(300, 8, response=1.05)
    probability = again.probability(showers)
    np.testing.assert_array_equal(probability, shifted.probability(showers))
    # The response says all: those above the middle are rather of the brighter sample.
    bright = showers.voxels.sum(1) / showers.incident > 1.05
    assert probability[bright].mean() > 0.5 > probability[~bright].mean()
    with pytest.raises(InputError, match="no classifier 'low-level' was fitted"):
        again.probability(showers, level="low-level")


def test_copies_are_found_and_refused() -> None:
    reference, other = sample(1000, 1), sample(1000, 2)
    train = sample(1000, 3)
    test = ShowerComparison(levels=[])
    random = np.random.default_rng(4)
    memory = train.voxels * random.normal(1, 1e-3, train.voxels.shape).astype(np.float32)
    test.fit(reference, Showers.checked(train.incident, memory), GEOMETRY, training=train)
    assert test.quantities_["nearer to the training"].value > 0.99
    other.voxels[17] = reference.voxels[23]
    with pytest.raises(
        InputError, match=r"1 showers stand in both .* 23 of the reference and number 17"
    ):
        test.fit(reference, other, GEOMETRY)
    with pytest.raises(InputError, match="of the training"):
        test.fit(reference, sample(1000, 5), GEOMETRY, training=reference)


def test_copies_within_a_sample_stay_in_one_split() -> None:
    copies = Showers.joined([sample(500, 1)] * 2)
    (parts,) = splits([DescribedShowers.checked(copies, "sample", GEOMETRY, 0.0)], seed=0)
    rows = np.concatenate(parts)
    assert sorted(rows) == list(range(1000))
    for part in parts:
        assert set(part % 500) == set(part[part < 500])
    assert [len(part) for part in parts] == [600, 200, 200]


def test_the_log_posterior_knows_the_model_that_is_right() -> None:
    options = {"classifier": QUICK, "width": 32, "standardised": True, "level": "high-level"}
    models = {"right": sample(3000, 1), "off": sample(3000, 2, response=1.1)}
    found = log_posterior(models, sample(3000, 3), GEOMETRY, **options, progress=False)
    # E ln p/(p+q) over p, for Gaussians one sigma apart; and what the classifier lacks.
    x = np.linspace(-8, 9, 20_000)
    p, q = norm.pdf(x), norm.pdf(x, 1)
    exact = np.trapezoid(p * np.log(p / (p + q)), x)
    assert found["right"].value == pytest.approx(exact, abs=4 * found["right"].error + 0.03)
    assert found["right"].value > found["off"].value
    with pytest.raises(InputError, match="give two at least"):
        log_posterior({"one": models["off"]}, sample(10, 1), GEOMETRY)


def test_bands_of_energy_find_the_band_that_is_wrong() -> None:
    parts = [sample(1000, 1), sample(1000, 2, energy=5000.0)]
    wrong = [sample(1000, 3), sample(1000, 4, response=1.2, energy=5000.0)]
    one, two = Showers.joined(parts), Showers.joined(wrong)
    options = {"classifier": QUICK, "width": 32, "levels": ["high-level"]}
    test = ShowerComparison(**options, bands=(500, 2000, 8000))
    test.fit(one, two, GEOMETRY, progress=False)
    assert list(test.bands_) == ["0.5 to 2 GeV", "2 to 8 GeV"]
    low, high = test.bands_.values()
    ratio = "ratio of mean E_tot/E_inc"
    assert low[ratio].value == pytest.approx(1, abs=4 * low[ratio].error)
    assert high[ratio].value == pytest.approx(1.2, abs=4 * high[ratio].error)
    assert high["AUC high-level"].value > low["AUC high-level"].value + 0.1
    with pytest.raises(InputError, match="0 showers of one sample"):
        ShowerComparison(bands=(1, 2)).fit(one, two, GEOMETRY)
    with pytest.raises(InputError, match="give at least two rising energies"):
        ShowerComparison(bands=(2, 1)).fit(one, two, GEOMETRY)


def test_maps_give_what_arrays_give(tmp_path: Path) -> None:
    test = ShowerComparison(threshold=1.0, classifier=FEW, width=16, levels=["low-level"])
    given = [sample(600, 1), sample(600, 2)]
    maps = []
    for i, showers in enumerate(given):
        path = write_showers(tmp_path / f"{i}.hdf5", showers.incident, showers.voxels)
        (tmp_path / "maps").mkdir(exist_ok=True)
        maps.append(mapped_showers(path, tmp_path / "maps", GEOMETRY))
    assert isinstance(maps[0].voxels, np.memmap)
    arrays = test.fit(*given, GEOMETRY, progress=False).quantities_
    assert arrays == test.fit(*maps, GEOMETRY, progress=False).quantities_


def test_showers_below_the_threshold_are_nothing() -> None:
    test = ShowerComparison(threshold=5.0, classifier=FEW, width=16, levels=["low-level"])
    one, two = sample(600, 1), sample(600, 2)
    cut = Showers.checked(two.incident, np.where(two.voxels < 5, 0, two.voxels))
    whole = test.fit(one, two, GEOMETRY, progress=False).quantities_
    assert whole == test.fit(one, cut, GEOMETRY, progress=False).quantities_


def test_errors_name_what_is_wrong() -> None:
    test = ShowerComparison(levels=[])
    showers = sample(50, 1)
    with pytest.raises(InputError, match="reference: has shape"):
        test.fit(Showers.checked(showers.incident, showers.voxels[:, 1:]), showers, GEOMETRY)
    with pytest.raises(InputError, match="no classifier 'cubist'"):
        ShowerComparison(levels=["cubist"]).fit(showers, sample(50, 2), GEOMETRY)
    with pytest.raises(InputError, match="threshold is -1"):
        ShowerComparison(threshold=-1.0).fit(showers, sample(50, 2), GEOMETRY)
    with pytest.raises(InputError, match="weight cannot be honoured"):
        test.fit(showers, sample(50, 2), GEOMETRY, weight=np.ones(50))


def test_a_three_dimensional_classifier_is_at_the_floor_too() -> None:
    quick = Training(epochs=2, batch_size=100, learning_rate=1e-3)
    test = ShowerComparison(classifier=quick, levels=["3-D ResNet"])
    test.fit(sample(200, 1), sample(200, 2), GEOMETRY, progress=False)
    area = test.quantities_["AUC 3-D ResNet"]
    assert abs(area.value - 0.5) < 4 * area.error
    uneven = Geometry("uneven", (Layer(0, (0, 1)), Layer(1, (0, 1, 2))))
    with pytest.raises(InputError, match="different rings"):
        test.fit(sample(10, 1), sample(10, 2), uneven)


def test_rectangular_cells_have_figures_too() -> None:
    grid = Geometry("grid", (Grid(0, 3, 4, 48.0, 48.0), Grid(1, 2, 2, 480.0, 480.0)))
    random = np.random.default_rng(7)
    one, two = (
        Showers.checked(np.full(400, 1000.0), random.gamma(2, 30, (400, 16)).astype(np.float32))
        for _ in "12"
    )
    found = ShowerComparison(levels=[]).fit(one, two, grid, progress=False)
    assert abs(found.quantities_["MMD"].value) < 5 * found.quantities_["MMD"].error
    assert found.histograms_[0].radial[0].sum() == pytest.approx(one.voxels.sum(1).mean(), rel=1e-5)
    assert "centre eta layer 1" in found.separations_


def test_showers_are_most_likely_of_the_model_that_is_right() -> None:
    classifier = Training(epochs=10, batch_size=100, learning_rate=1e-3, schedule="constant")
    options = {"classifier": classifier, "width": 32, "standardised": True, "level": "high-level"}
    models = {
        "right": sample(1000, 1),
        "low": sample(1000, 2, response=0.8),
        "high": sample(1000, 3, response=1.2),
    }
    found = log_posterior(models, sample(1000, 4), GEOMETRY, **options, progress=False)
    assert list(found) == ["right", "low", "high"]
    right, low, high = found.values()
    # Two sigma apart on either side: better than chance, and than both others.
    assert right.value > -math.log(3) > max(low.value, high.value)
    assert 0 < right.error < 0.1


def faint(count: int, brighter: float, number: int) -> Showers:
    """Draw showers whose first voxel carries a thousandth of the energy, to 10%."""
    random = np.random.default_rng(number)
    voxels = random.dirichlet(np.full(GEOMETRY.voxels, 2.0), count) * 1000
    voxels[:, 0] = brighter * random.normal(1, 0.1, count)
    return Showers.checked(np.full(count, 1000.0), voxels.astype(np.float32))


def test_logarithms_and_trees_see_faint_hits_that_scaled_voxels_hide() -> None:
    """A voxel that carries a thousandth of the energy is a tenth brighter in the sample."""
    found = ShowerComparison(classifier=QUICK, width=32, levels=("low-level", "low-level-log")).fit(
        faint(3000, 1.0, 1), faint(3000, 1.1, 2), GEOMETRY, progress=False
    )
    best = norm.cdf(1 / math.sqrt(2))  # one sigma apart
    weak = found.quantities_["AUC low-level"]
    logarithms = found.quantities_["AUC low-level-log"]
    assert weak.value + 0.1 < logarithms.value < best + 4 * logarithms.error
    trees = ("trees of E/E_inc", "trees of log10 E")
    for name in trees:
        area = found.quantities_[f"AUC {name}"]
        assert best - 0.04 < area.value < best + 4 * area.error
    assert found.strongest_ in trees
    strongest = found.quantities_["AUC strongest"]
    assert strongest == found.quantities_[f"AUC {found.strongest_}"]
    assert strongest_sentences({"faint": found}) == [
        f"faint: the strongest classifier is “{found.strongest_}”, AUC {strongest}."
    ]


def test_trees_see_energies_that_shares_hide() -> None:
    """Hits just above a threshold, of showers of a hundred times other energies."""

    def showers(count: int, lowest: float, number: int) -> Showers:
        random = np.random.default_rng(number)
        incident = 1000 * 100 ** random.random(count)
        voxels = random.dirichlet(np.full(GEOMETRY.voxels, 2.0), count) * incident[:, None]
        voxels[:, 0] = lowest * random.normal(1, 0.1, count)
        return Showers.checked(incident, voxels.astype(np.float32))

    found = ShowerComparison(classifier=FEW, width=8, levels=("low-level",), threshold=0.1).fit(
        showers(3000, 1.0, 1), showers(3000, 1.1, 2), GEOMETRY, progress=False
    )
    best = norm.cdf(1 / math.sqrt(2))
    area = found.quantities_["AUC trees of log10 E"]
    assert best - 0.04 < area.value < best + 4 * area.error
    assert area.value > found.quantities_["AUC trees of E/E_inc"].value + 0.05
