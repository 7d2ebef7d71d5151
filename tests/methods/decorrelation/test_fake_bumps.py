"""Searches behind a cut, in background alone."""

import numpy as np

from colliderkit.methods.decorrelation.fake_bumps import FakeBumps


def test_an_experiment_draws_no_jet_twice():
    whole = FakeBumps(experiments=4, toys=40, share=1.0, searched=(50.0, 150.0, 16))
    mass = np.random.default_rng(1).uniform(50, 250, 400)
    passed = mass < 150
    spectra = whole.spectra(mass, passed, seed=3)
    # The share is one: each experiment is the whole.
    low, high, bins = whole.searched
    expected = np.histogram(mass[passed], bins, (low, high))[0]
    np.testing.assert_array_equal(spectra, np.tile(expected, (4, 1)))
    third = FakeBumps(experiments=40, toys=400).spectra(mass, np.ones(400, bool), seed=3)
    assert third.sum(1).tolist() == [round(400 / 3)] * 40


def test_a_score_that_knows_the_mass_leaves_bumps_and_one_by_chance_none():
    random = np.random.default_rng(0)
    label = np.repeat([0, 1], [6000, 1500])
    mass = np.concatenate([50 + random.exponential(60, 6000), random.normal(80, 8, 1500)])
    inside = mass < 250
    label, mass = label[inside], mass[inside]
    test = FakeBumps(experiments=4, toys=60, share=0.5)
    chance = random.random(len(mass)) + 0.3 * label
    scores = {"sculpts": chance - np.abs(mass - 80) / 10, "blind": chance}
    judged = {
        name: test.judge(score, label, mass, np.ones(len(mass)), seed=1)
        for name, score in scores.items()
    }
    assert judged["sculpts"].p_values.max() < 0.05
    assert judged["blind"].p_values.mean() > 0.1
    assert judged["sculpts"].cuts["disco"].jsd.value > 10 * judged["blind"].cuts["disco"].jsd.value
    assert judged["blind"].rejection.value < judged["sculpts"].rejection.value
    assert judged["blind"].passed.shape == ((label == 0).sum(),)
