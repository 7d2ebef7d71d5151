"""Events at two levels from Pythia: true jets with what is seen of them, and z-jets."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.pairs import check_pairs
from colliderkit.sources.files.pairs import read_pairs
from colliderkit.sources.pythia.jets import jets, z_momentum
from colliderkit.sources.pythia.pairs import nearest, pairs
from colliderkit.sources.pythia.processes import PROCESSES
from colliderkit.sources.pythia.shards import generate as generate_sample
from colliderkit.sources.pythia.tunes import start
from samples import make_jets

generate = pytest.mark.generate


def some_jets(events, seed):
    """Make jets that belong to the given events."""
    made = make_jets(len(events), seed)
    return ak.with_field(made[[f for f in made.fields if f != "label"]], np.array(events), "event")


def placed(jets):
    """Make jets of (event, pt, eta, phi)."""
    event, *columns = (np.array(column) for column in zip(*jets, strict=True))
    made = some_jets(event, 4)
    for name, column in zip(("jet_pt", "jet_eta", "jet_phi"), columns, strict=True):
        made[name] = column.astype(np.float32)
    return made


def test_processes_that_keep_jets_by_their_origin_make_no_pairs():
    for process in ("top", "b"):
        with pytest.raises(InputError, match=f"'{process}' keeps jets by their origin"):
            pairs(process, 5)


def test_a_true_jet_gets_the_nearest_one_seen_in_its_event():
    # Event 3: two jets back to back, the second not seen; a third too near to a fourth.
    truth = placed([(3, 90, 0.5, 3.1), (3, 80, -0.5, 0.0), (3, 60, 1.0, 1.0), (3, 9, 1.9, 1.0)])
    reco = placed([(3, 50, 0.45, -3.1), (3, 40, 0.5, 3.3), (4, 70, 0.5, 3.1)])
    found = nearest(truth, reco, replace(PROCESSES["dijets"], leading=3))
    assert found.event.tolist() == [3, 3]
    assert found.truth.jet_pt.tolist() == [90, 80]
    assert found.pass_truth.tolist() == [True, True]
    # 3.1 and -3.1 are .083 apart around the circle, nearer than .2; nothing is near -.5, 0.
    assert found.pass_reco.tolist() == [True, False]
    assert found.reco.jet_pt.tolist() == [50, 0]
    check_pairs(found, "found")
    assert len(nearest(truth[:0], reco, PROCESSES["dijets"])) == 0
    # The hardest two, above 25 GeV and within |eta| < 2.
    assert len(nearest(truth[3:], reco, PROCESSES["dijets"])) == 0


# What needs Pythia and FastJet.


@pytest.fixture(scope="module")
def few():
    return pairs("z-jets", 400, seed=5)


@generate
def test_pairs_obey_the_cuts_at_each_level(few):
    check_pairs(few, "few")
    assert len(few) == 400
    assert len(np.unique(few.event)) == 400
    process = PROCESSES["z-jets"]
    for name in ("truth", "reco"):
        own = few[name][few[f"pass_{name}"]]
        assert np.all((own.jet_pt > process.pt[0]) & (np.abs(own.jet_eta) < process.eta))
        total = {c: ak.sum(own.constituents[c], axis=1) for c in ("px", "py")}
        assert np.allclose(np.hypot(total["px"], total["py"]), own.jet_pt, rtol=1e-5)
    assert np.all(few.pass_truth | few.pass_reco)
    assert np.mean(few.pass_truth & few.pass_reco) > 0.95


@generate
def test_truth_is_what_jets_makes_and_the_seed_fixes_every_bit(few):
    """The detector draws from another source: the events themselves are the same ones."""
    again = pairs("z-jets", 400, seed=5)
    assert again.tolist() == few.tolist()
    alone = jets("z-jets", 300, seed=5)
    truth = few[few.pass_truth]
    assert truth.truth.jet_pt[:300].tolist() == alone.jet_pt.tolist()
    assert truth.event[:300].tolist() == alone.event.tolist()


@generate
def test_without_detector_and_pileup_both_levels_agree():
    same = pairs("z-jets", 30, seed=2, detector=False)
    assert same.truth.tolist() == same.reco.tolist()
    assert np.all(same.pass_truth & same.pass_reco)


@generate
def test_the_response_is_near_one_with_the_width_of_a_detector(few):
    both = few[few.pass_truth & few.pass_reco]
    response = np.asarray(both.reco.jet_pt) / np.asarray(both.truth.jet_pt)
    assert np.median(response) == pytest.approx(0.98, abs=0.02)
    low, high = np.percentile(response, [15.87, 84.13])
    assert 0.03 < (high - low) / 2 < 0.09
    # The same jet, seldom another one that is harder as seen.
    deta = np.asarray(both.reco.jet_eta - both.truth.jet_eta)
    assert np.mean(np.abs(deta) < 0.1) > 0.95


@generate
def test_the_cut_on_the_z_is_that_of_its_last_copy():
    record = start(PROCESSES["z-jets"], 3).nextBatch(50).prt
    pt = z_momentum(record)
    for event, found in zip(record, pt, strict=True):
        last = event[event.id == 23][-1]
        # It decays to two neutrinos, which add up to it.
        children = event[last.daughter1 : last.daughter2 + 1]
        assert set(np.abs(children.id).tolist()) <= {12, 14, 16}
        px, py = ak.sum(children.p.px), ak.sum(children.p.py)
        assert np.hypot(px, py) == pytest.approx(found, rel=1e-9)
    assert 0.2 < np.mean(pt > 200) < 0.6


@generate
def test_a_sample_of_pairs_is_sharded_and_does_not_depend_on_how(tmp_path):
    options = {"paired": True, "shard": 20, "seed": 3, "progress": False}
    settings = ["TimeShower:alphaSvalue = 0.16", "StringZ:aLund = 0.9"]
    one = generate_sample("z-jets", 50, tmp_path / "one.parquet", settings=settings, **options)
    two = generate_sample(
        "z-jets", 50, tmp_path / "two.parquet", settings=";".join(settings), workers=2, **options
    )
    assert one.read_bytes() == two.read_bytes()
    array = read_pairs(one)
    assert len(array) == len(np.unique(array.event)) == 50
    parts = [pairs("z-jets", n, seed=3, shard=k, settings=settings) for k, n in enumerate((20, 20))]
    expected = {
        e: pt for part in parts for e, pt in zip(part.event, part.truth.jet_pt, strict=True)
    }
    found = dict(zip(array.event.tolist(), array.truth.jet_pt.tolist(), strict=True))
    assert all(found[event] == pt for event, pt in expected.items())


@generate
def test_dijets_are_true_jets_with_what_is_seen_of_them():
    found = pairs("dijets", 300, seed=3)
    check_pairs(found, "found")
    assert len(found) == 300
    process = PROCESSES["dijets"]
    assert ak.all(found.truth.jet_pt > process.pt[0])
    assert ak.all(np.abs(found.truth.jet_eta) < process.eta)
    _, jets_of_event = np.unique(np.asarray(found.event), return_counts=True)
    assert set(jets_of_event) == {1, 2}
    seen = found[found.pass_reco]
    assert len(seen) > 290
    response = np.asarray(seen.reco.jet_pt / seen.truth.jet_pt)
    assert 0.85 < np.median(response) < 1.05
    assert pairs("dijets", 300, seed=3).tolist() == found.tolist()
