"""True jets and what is seen of them, as tables to calibrate with."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.events.composition import COMPOSITION
from colliderkit.sources.datasets.calibration_jets import MASS, PT, Jets, read_jets, weights
from colliderkit.sources.pythia.pairs import joined
from samples import make_jets


def test_a_prior_is_a_power_of_the_true_pt():
    truth = np.array([[50.0, 5.0], [100.0, 5.0]])
    jets = Jets(truth, truth, np.zeros((2, 7)), np.arange(2))
    assert weights(jets, "flat").tolist() == [1, 1]
    assert weights(jets, "falling") == pytest.approx(50 / truth[:, 0])


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
    assert len(MASS.in_range(jets)) == 1
    light = Jets(np.array([[100.0, 2.0]]), seen, jets.features, np.array([1]))
    assert len(MASS.in_range(light)) == 0


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
    assert jets.reco[:, 1] == pytest.approx(np.asarray(levels[1].jet_mass))
    assert jets.features.shape == (2, 1 + len(COMPOSITION))
    # The counts of constituents, spread over the unit around them.
    counts = np.asarray(ak.num(levels[1].constituents))
    assert np.abs(jets.features[:, 1] - counts).max() <= 0.5
    assert (jets.features[:, 1] != counts).all()
