"""What the study of jet calibration measures, on jets whose answer is known."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.events.composition import COMPOSITION
from colliderkit.events.pairs import joined
from colliderkit.methods.calibration import Calibrated
from colliderkit.sources.datasets.calibration_jets import MASS, PT, Jets, read_jets, weights
from colliderkit.studies.jet_calibration import INVERSION, Calibrations, largest, narrower
from samples import make_jets

COUNT = 40_000


@pytest.fixture(scope="module")
def found():
    """Return two calibrations of the same jets: one has .8 of the scatter of the other."""
    random = np.random.default_rng(1)
    truth = np.exp(random.uniform(np.log(50), np.log(500), (COUNT, 2)))
    features = random.uniform(size=(COUNT, 1 + len(COMPOSITION)))
    jets = Jets(truth, truth, features, np.arange(COUNT))
    noise = 0.1 * random.normal(size=COUNT)
    # The second feature of the table is the mass over pt, the third the first of COMPOSITION.
    trend = 0.04 * (features[:, 1] - 0.5)
    wide, narrow = (
        Calibrated(np.log(truth[:, 0]) + x, np.full(COUNT, 0.1)) for x in (noise, 0.8 * noise)
    )
    bent = Calibrated(np.log(truth[:, 0]) + trend + 1e-3 * noise, np.full(COUNT, 0.1))
    answers = {INVERSION: wide, "narrow": narrow, "bent": bent}
    return Calibrations(PT, jets, {(name, "flat"): [a] for name, a in answers.items()})


def test_a_narrower_response_has_that_ratio(found):
    ratio = narrower(found, "narrow", "flat")
    # Quantiles of exp(.8 x) and exp(x): sinh(.08) / sinh(.1), but for the scatter of medians.
    assert ratio.value == pytest.approx(np.sinh(0.08) / np.sinh(0.1), abs=0.005)
    assert ratio.error < 0.005
    assert narrower(found, INVERSION, "flat").value == 1


def test_a_trend_is_seen_along_its_feature_alone(found):
    trends = found.trends("bent", "flat")
    assert list(trends) == PT.names
    own = trends[COMPOSITION["constituents"]]
    # The middles of eight bins of a uniform feature.
    middle = (np.arange(8) + 0.5) / 8 - 0.5
    assert own.value == pytest.approx(np.exp(0.04 * middle), abs=1e-3)
    assert largest(own).value == pytest.approx(0.04 * 7 / 16, abs=1e-3)
    others = [v for name, v in trends.items() if name != COMPOSITION["constituents"]]
    for other in others:
        worst = largest(other)
        assert worst.value < 5 * worst.error


def test_closure_knows_the_prior_and_the_statistic(found):
    curve = found.response(INVERSION, "flat")
    assert np.all(np.abs(curve.value - 1) < 5 * curve.error)
    assert curve.spread == pytest.approx(0.1, rel=0.1)
    assert weights(found.test, "flat").tolist() == [1] * COUNT
    assert weights(found.test, "falling") == pytest.approx(50 / found.truth)


def test_the_table_holds_logarithms_and_the_other_quantity():
    truth, seen = np.array([[100.0, 20.0]]), np.array([[80.0, 0.0]])
    jets = Jets(truth, seen, np.arange(7.0)[None], np.array([1]))
    x, z, features = PT.table(jets)
    assert (x[0], z[0]) == pytest.approx((np.log(80), np.log(100)))
    assert features.tolist() == [[0, 0, 1, 2, 3, 4, 5, 6]]
    x, z, features = MASS.table(jets)
    # A jet of one particle has a mass all the same.
    assert (x[0], z[0], features[0, 1]) == pytest.approx((np.log(0.2), np.log(20), np.log(80)))
    # Without the widths, the last two.
    assert features.tolist() == [[0, pytest.approx(np.log(80)), 1, 2, 3, 4]]
    assert (len(PT.names), len(MASS.names)) == (8, 6)
    assert len(MASS.kept(jets)) == 1
    assert len(MASS.kept(Jets(np.array([[100.0, 2.0]]), seen, jets.features, np.array([1])))) == 0


def test_jets_that_are_not_seen_are_left_out(tmp_path):
    levels = []
    for events, seed in (([1, 2, 5], 1), ([2, 5], 2)):
        made = make_jets(len(events), seed)
        made = made[[f for f in made.fields if f != "label"]]
        made["constituents", "pid"] = ak.values_astype(made.constituents.charge * 211, np.int32)
        levels.append(ak.with_field(made, np.array(events), "event"))
    array = joined(*levels, np.arange(1, 6))
    ak.to_parquet_row_groups(iter([array]), tmp_path / "pairs.parquet")
    jets = read_jets(tmp_path / "pairs.parquet")
    assert jets.event.tolist() == [2, 5]
    assert jets.truth[:, 0] == pytest.approx(np.asarray(levels[0].jet_pt)[1:])
    assert jets.seen[:, 1] == pytest.approx(np.asarray(levels[1].jet_mass))
    assert jets.features.shape == (2, 1 + len(COMPOSITION))
    # The counts of constituents, spread over the unit around them.
    counts = np.asarray(ak.num(levels[1].constituents))
    assert np.abs(jets.features[:, 1] - counts).max() <= 0.5
    assert (jets.features[:, 1] != counts).all()
