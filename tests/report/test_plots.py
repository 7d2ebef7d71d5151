"""Plots: what is drawn, read back from the artists."""

import awkward as ak
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from scipy.special import ndtri

from colliderkit import metrics
from colliderkit.metrics import Value
from colliderkit.report import (
    classifiers,
    distributions,
    images,
    inference,
    plots,
    regression,
    training,
)
from colliderkit.report.html import Report
from colliderkit.report.observables import axis_label, labelled, unit_of
from colliderkit.report.words import plain
from colliderkit.training.settings import Epoch
from drawings import contrast, templates


@pytest.fixture(scope="module")
def scored():
    """Scores of 4000 jets, calibrated by construction, and labels."""
    random = np.random.default_rng(0)
    label = np.repeat([0, 1], 2000)
    x = random.normal(size=4000) + 2 * label
    return 1 / (1 + np.exp(-(2 * x - 2))), label


def stairs(axes):
    """Return the outlines (values, edges) of an axes' histograms."""
    return [p.get_data() for p in axes.patches if not p.get_fill()]


def test_styles_are_the_same_in_every_plot():
    few = plots.styles(["PFN", "ParticleNet"])
    many = plots.styles(["boosted trees", "mine", "ParticleNet", "CNN", "PFN", "particle-net-lite"])
    assert few["PFN"] == many["PFN"]
    assert few["ParticleNet"] == many["ParticleNet"]
    assert plots.styles(["particle-net"])["particle-net"] == few["ParticleNet"]
    assert plots.styles(["mine"])["mine"]["color"] in plots.COLOURS
    # What else a figure shows has colours of its own.
    place = next(
        i for i in range(10) if plots.COLOURS[i] == plots.styles(["mine"])["mine"]["color"]
    )
    assert plots.styles(["mine"], taken=[place])["mine"]["color"] != plots.COLOURS[place]


def test_no_two_models_look_alike():
    names = [*"abcdefghijklmnop", "PFN", "EFN", "ParT", "particle-transformer", "N-subjettiness(8)"]
    looks = [tuple(look.values()) for look in plots.styles(names).values()]
    assert len(set(looks)) == len(names)


def test_roc_draws_rejection_and_ratio(scored):
    score, label = scored
    good = metrics.roc(score, label)
    noise = np.random.default_rng(1).normal(size=len(score))
    poor = metrics.roc(score + 0.3 * noise, label)
    figure = classifiers.roc({"PFN": good, "EFN": poor}, published={"PFN": (0.5, Value(80, 5))})
    top, bottom = figure.axes
    assert top.get_yscale() == "log"
    line = next(line for line in top.lines if line.get_label() == "PFN")
    x, y = line.get_data()
    at = np.argmin(abs(x - 0.5))
    assert y[at] == pytest.approx(good.rejection(x[at]).value)
    assert "published" in [text.get_text() for text in figure.legends[0].get_texts()]
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), 1)
    x, y = bottom.lines[1].get_data()
    at = np.argmin(abs(x - 0.6))
    expected = poor.rejection(x[at]).value / good.rejection(x[at]).value
    assert y[at] == pytest.approx(expected)


def test_roc_of_one_curve_has_no_ratio(scored):
    figure = classifiers.roc({"PFN": metrics.roc(*scored)})
    assert len(figure.axes) == 1
    assert "varepsilon_S" in figure.axes[0].get_xlabel()


def test_distribution_is_normalised_and_has_counting_errors():
    samples = {"a": np.repeat([0.5, 1.5], [30, 10]), "b": np.repeat([0.5, 1.5, 9.0], [20, 60, 20])}
    figure = distributions.distribution(samples, [0.0, 1.0, 2.0], "Mass", "GeV")
    top, bottom = figure.axes
    (first, edges, _), (second, _, _) = stairs(top)
    np.testing.assert_allclose(first, [0.75, 0.25])
    # Events outside the edges count in the norm.
    np.testing.assert_allclose(second, [0.2, 0.6])
    np.testing.assert_array_equal(edges, [0, 1, 2])
    bars = [c for c in top.containers if isinstance(c, ErrorbarContainer)]
    segments = bars[0][2][0].get_segments()
    assert segments[0][1][1] - segments[0][0][1] == pytest.approx(2 * np.sqrt(30) / 40)
    ratio = next(c for c in bottom.containers if isinstance(c, ErrorbarContainer))
    np.testing.assert_allclose(ratio[0].get_ydata(), [0.2 / 0.75, 0.6 / 0.25])
    assert bottom.get_xlabel() == "Mass [GeV]"
    assert top.get_ylabel() == "Fraction of jets / 1 GeV"


def test_spectra_show_three_columns_with_ratios():
    random = np.random.default_rng(2)
    count = random.poisson(20, size=500)
    jets = ak.zip(
        {
            "jet_pt": random.uniform(550, 650, 500),
            "jet_mass": random.gamma(3, 40, 500),
            "label": np.arange(500) % 2,
            "constituents": ak.unflatten(ak.zip({"px": np.ones(count.sum())}), count),
        },
        depth_limit=1,
    )
    figure = distributions.spectra(jets, ["QCD", "top"])
    labels = [axes.get_xlabel() for axes in figure.axes[3:]]
    assert labels == ["Jet $p_T$ [GeV]", "Jet mass [GeV]", "Constituents"]
    for axes in figure.axes[:3]:
        for values, _, _ in stairs(axes):
            assert 0.98 < values.sum() <= 1 + 1e-12
    # Integers get bins around integers.
    edges = stairs(figure.axes[2])[0][1]
    np.testing.assert_allclose(edges % 1, 0.5)
    widths = np.diff(stairs(figure.axes[0])[0][1])
    np.testing.assert_allclose(widths, 2.5)


def test_scores_follow_the_calibrated_line(scored):
    score, label = scored
    figure = classifiers.scores(score, label, classes=["QCD", "top"], bins=10)
    bottom = figure.axes[1]
    ratio = next(c for c in bottom.containers if isinstance(c, ErrorbarContainer))[0]
    x, y = ratio.get_data()
    middle = (x > 0.2) & (x < 0.8)
    np.testing.assert_allclose(y[middle], x[middle] / (1 - x[middle]), rtol=0.6)
    assert figure.axes[0].get_yscale() == "log"


def test_training_marks_the_chosen_epoch():
    history = [Epoch(i, 1 / (i + 1), 1 / (i + 1) + 0.1, 1.0, best=i == 2) for i in range(4)]
    axes = training.training({"PFN": history}).axes[0]
    star = [line for line in axes.lines if line.get_marker() == "*" and len(line.get_xdata())]
    assert len(star) == 1
    assert star[0].get_xdata()[0] == 3
    assert star[0].get_ydata()[0] == pytest.approx(1 / 3 + 0.1)
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3, 4]


def test_a_training_of_few_epochs_is_drawn_by_its_steps():
    parts = (1.0, 0.8, 0.6, 0.4)
    short = [Epoch(i, 0.7 / (i + 1), 0.5, 0.0, parts=parts) for i in range(2)]
    axes = training.training({"PFN": short}).axes[0]
    dotted = next(line for line in axes.lines if line.get_linestyle() == ":")
    np.testing.assert_allclose(dotted.get_xdata(), np.arange(8) / 4 + 0.125)
    np.testing.assert_allclose(dotted.get_ydata(), parts * 2)
    many = [Epoch(i, 0.7 / (i + 1), 0.5, 0.0, parts=parts) for i in range(6)]
    axes = training.training({"PFN": many}).axes[0]
    dotted = next(line for line in axes.lines if line.get_linestyle() == ":")
    assert list(dotted.get_xdata()) == [1, 2, 3, 4, 5, 6]


def test_calibration_draws_the_curve_and_its_difference(scored):
    curve = metrics.calibration_curve(*scored, bins=8)
    top, bottom = classifiers.calibration({"PFN": curve}).axes
    drawn = next(c for c in top.containers if isinstance(c, ErrorbarContainer))[0]
    np.testing.assert_allclose(drawn.get_data(), [curve.predicted, curve.observed])
    below = next(c for c in bottom.containers if isinstance(c, ErrorbarContainer))[0]
    np.testing.assert_allclose(below.get_ydata(), curve.observed - curve.predicted)


def test_confusion_writes_shares_in_percent():
    matrix = metrics.confusion(np.eye(2)[[0, 0, 1, 1]], [0, 0, 0, 1])
    axes = classifiers.confusion(matrix, ["QCD", "top"]).axes[0]
    assert [t.get_text() for t in axes.texts][:2] == ["66.7\n± 27.2", "33.3\n± 27.2"]


def test_filters_enclose_half_the_peak_and_skip_dead_ones():
    grid = np.linspace(-1, 1, 201)
    y, phi = np.meshgrid(grid, grid, indexing="ij")
    # A cone of radius 0.4 around (0.5, 0): half of its height is a circle of radius 0.2.
    cone = np.maximum(0, 1 - np.hypot(y - 0.5, phi) / 0.4)
    figure = images.filters(np.stack([cone, 0 * cone]), 1.0)
    drawn = figure.axes[0].collections
    assert len(drawn) == 1
    (path,) = drawn[0].get_paths()
    radius = np.hypot(path.vertices[:, 0] - 0.5, path.vertices[:, 1])
    np.testing.assert_allclose(radius, 0.2, atol=0.005)


def test_importance_is_ranked_with_errors():
    values = {"low": Value(0.1, 0.01), "high": Value(0.3, 0.02), "none": Value(-0.01, 0.02)}
    axes = classifiers.importance(values).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [-0.01, 0.1, 0.3]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["none", "low", "high"]


def test_jet_images_share_one_scale_and_orientation():
    first, second = np.zeros((4, 4)), np.full((4, 4), 0.5)
    first[3, 0] = 1.0
    figure = images.jet_images({"QCD": first, "top": second}, 0.8)
    left, right = (axes.images[0] for axes in figure.axes[:2])
    assert left.norm.vmax == right.norm.vmax == 1.0
    assert left.origin == "lower"
    # Row 3 is the largest azimuth, column 0 the smallest pseudorapidity.
    assert left.get_array()[3, 0] == 1.0
    assert np.ma.masked_invalid(left.get_array()).count() == 1


@pytest.mark.parametrize("page", ["#ffffff", plots.CARD])
def test_colours_have_contrast_on_light_and_dark_pages(page):
    for colour in plots.COLOURS:
        assert contrast(colour, page) >= 3


# Machado, Oliveira and Fernandes (2009), severity 1: what such a reader sees of linear RGB.
VISION = {
    "any": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


@pytest.mark.parametrize("vision", VISION)
def test_colours_can_be_told_apart_by_any_reader(vision):
    value = np.array([to_rgb(colour) for colour in plots.COLOURS])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISION[vision].T, 0, 1)
    lab = 100 * np.cbrt(seen @ CONES.T) @ OKLAB.T
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1) + 100 * np.eye(len(lab))
    # A just noticeable difference is about 2; the first six are far apart.
    assert apart.min() > 5
    assert apart[:6, :6].min() > 10


def test_bins_are_merged_until_the_reference_has_entries():
    assert list(plots.merged([10, 3, 7, 0, 30, 4])) == [0, 1, 3]
    assert len(plots.merged([3, 3, 3])) == 0


def test_a_ratio_of_too_few_entries_says_so():
    few = {"a": np.array([0.5, 1.5]), "b": np.array([0.5])}
    _, bottom = distributions.distribution(few, [0.0, 1.0, 2.0], "Mass", "GeV").axes
    assert [text.get_text() for text in bottom.texts] == ["too few entries"]


def test_what_lies_outside_is_said():
    samples = {"a": np.repeat([0.5, 1.5], 50), "b": np.full(10, 7.0)}
    figure = distributions.distribution(samples, [0.0, 1.0, 2.0], "Mass", "GeV")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b (100% outside)"]
    far = {"a": np.repeat([0.5, 1.5], 50), "b": np.repeat([0.5, 1.5], [1, 1000])}
    _, bottom = distributions.distribution(far, [0.0, 1.0, 2.0], "Mass", "GeV").axes
    arrows = [line for line in bottom.lines if line.get_gid() == plots.ARROW]
    assert [line.get_marker() for line in arrows] == ["v"]


def test_observables_have_symbols_and_units():
    assert axis_label("jet_pt") == "Jet $p_T$ [GeV]"
    assert axis_label("m_true") == "True mass $m$ [GeV]"
    assert axis_label("reco_tau21") == r"Measured N-subjettiness ratio $\tau_{21}$"
    assert axis_label("my_column") == "my column"
    with labelled({"m_true": "m [GeV]"}):
        assert axis_label("m_true") == "m [GeV]"
    assert unit_of("m [GeV]") == "GeV"
    assert plain(r"Rejection $1/\varepsilon_B$") == "Rejection 1/εB"


def test_impacts_are_those_of_the_fisher_information():
    made = templates()
    left, right = inference.impacts(made).axes
    assert [tick.get_text() for tick in left.get_yticklabels()][-1] in {
        nuisance.name for nuisance in made.nuisances
    }
    widths = np.array([bar.get_width() for bar in right.patches])[:3]
    # What the nuisance parameters add in quadrature, were they independent after the fit.
    total = made.expected_error() ** 2 - made.expected_error(floating=[]) ** 2
    assert np.abs(widths).max() ** 2 <= total * (1 + 1e-9)
    assert (np.diff(np.abs(widths)) >= 0).all()


def test_ranks_of_the_truth_are_flat_by_construction():
    axes = regression.ranks({"uniform": (np.arange(1000) + 0.5) / 1000}).axes[0]
    np.testing.assert_allclose(stairs(axes)[0][0], 1)


def test_ranks_of_normal_pulls_are_flat_and_lean_where_estimates_are_biased():
    normal = ndtri((np.arange(1000) + 0.5) / 1000)
    report = Report("Title", "")
    regression.add_pull_ranks(report, {"right": normal, "high": normal + 1})
    right, high = (values for values, _, _ in stairs(report.blocks[0].figure.axes[0]))
    np.testing.assert_allclose(right, 1)
    assert high[0] > 2  # estimates are above: the truth lies low in what they foretell
    assert high[-1] < 0.5
