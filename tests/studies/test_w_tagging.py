"""The pieces of the W-tagging study that need no training."""

import numpy as np
import pytest

from colliderkit.metrics.value import Value
from colliderkit.report.results import Result
from colliderkit.studies.w_tagging import (
    FAMILIES,
    MAPS,
    SCALES,
    _at_targets,
    _families,
    experiments,
    jets,
)


def test_every_strength_of_a_scale_belongs_to_a_family():
    names = {family.name for family in FAMILIES}
    for scale in SCALES.values():
        assert set(scale.strengths) <= names | set(MAPS)
        assert "unconstrained" in scale.strengths


def test_members_are_found_again_by_their_names():
    for scale in SCALES.values():
        subjects = {
            family.name: [family.subject(v) for v in scale.strengths[family.name]]
            for family in FAMILIES
            if family.name in scale.strengths
        }
        subjects |= {name: [name] for name in MAPS if name in scale.strengths}
        every = [name for own in subjects.values() for name in own]
        assert len(set(every)) == len(every)
        assert _families(dict.fromkeys(every, ())) == subjects


def test_experiments_are_disjoint_from_nothing_but_themselves():
    scale = SCALES["smoke"]
    mass = np.random.default_rng(1).uniform(50, 250, 400)
    passed = mass < 150
    found = experiments(mass, passed, scale, seed=3)
    # The share is one: each experiment is the whole, no jet twice.
    assert scale.share == 1
    low, high, bins = scale.searched
    expected = np.histogram(mass[passed], bins, (low, high))[0]
    np.testing.assert_array_equal(found, np.tile(expected, (scale.experiments, 1)))
    third = experiments(mass, np.ones(400, bool), SCALES["laptop"], seed=3)
    assert third.sum(1).tolist() == [round(400 / 3)] * SCALES["laptop"].experiments


def test_targets_beyond_a_method_are_left_out():
    points = {"DisCo": [(Value(16, 0.1), Value(0.1, 0)), (Value(4, 0.1), Value(0.006, 0))]}
    found = _at_targets(points)
    assert [r.quantity for r in found] == ["R50 at 1/JSD >= 30", "R50 at 1/JSD >= 100"]
    assert all(isinstance(r, Result) for r in found)


def test_the_table_of_the_jets(tmp_path):
    pytest.importorskip("pythia8mc")
    sample = jets(40, 60, tmp_path)
    for part in (sample.train, sample.test):
        mass = np.asarray(part["jet_mass"])
        assert ((mass > 50) & (mass < 300)).all()
        assert "constituents" not in part.fields
    events = [np.asarray(part["event"]) for part in (sample.train, sample.test)]
    assert not set(events[0]) & set(events[1])
    # The second call reads what the first one left.
    again = jets(40, 60, tmp_path)
    np.testing.assert_array_equal(np.asarray(again.test["tau21"]), np.asarray(sample.test["tau21"]))
