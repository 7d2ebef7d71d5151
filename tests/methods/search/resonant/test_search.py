"""Searches for a resonance on a toy that is known: what they find, what breaks them, no leaks."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from colliderkit.errors import InputError
from colliderkit.methods import METHODS
from colliderkit.methods.search.resonant.bounds import Idealised, Supervised
from colliderkit.methods.search.resonant.classifiers import classifier
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.flows import FeatureFlow
from colliderkit.methods.search.resonant.r_anode import RAnode
from colliderkit.methods.search.resonant.salad import Salad
from colliderkit.metrics.roc import auc
from colliderkit.sources.toys.resonance import Resonance
from colliderkit.training.settings import Training

REGION = (3300.0, 3700.0)
QUICK = Training(epochs=8, batch_size=256, learning_rate=1e-2, schedule="cosine")
FLOW: dict[str, Any] = {"flow": {"transforms": 1, "hidden": [16]}, "training": QUICK}
SHORT = Training(epochs=5, batch_size=512, learning_rate=3e-3, schedule="cosine")
OWN: dict[str, dict[str, Any]] = {
    "cwola-hunting": {"folds": 3},
    "salad": {"training": SHORT},
    **dict.fromkeys(("cathode", "lacathode", "transport", "anode", "r-anode"), FLOW),
}


@cache
def toy(shift: float, seed: int) -> tuple[Any, Any, Any, Resonance]:
    """Events with a signal of 7% in the window, test events there, and wrong simulation."""
    model = Resonance(distance=(2.0, 2.0), shift=shift)
    tests = model.events(40_000, 2_000, [seed, 2])
    inside = (tests.mass >= REGION[0]) & (tests.mass < REGION[1])
    test = (tests.features[inside], tests.mass[inside], tests.label[inside])
    simulation = model.simulation(20_000, [seed, 3])
    return model.events(20_000, 200, [seed, 1]), test, simulation, model


def fitted(name: str, shift: float, seed: int) -> Any:
    events, _, simulation, _ = toy(shift, seed)
    options = {"signal_region": REGION, "folds": 2, "efficiency": 0.02, **OWN.get(name, {})}
    method = METHODS.build(name, **options)
    more: dict[str, Any] = {}
    if "simulation" in method.needs:
        more["simulation"] = (simulation.features, simulation.mass)
    if "label" in method.needs:
        more["label"] = events.label
    return method.fit(events.features, events.mass, seed=seed, progress=False, **more)


def area(method: Any, shift: float, seed: int) -> float:
    features, mass, label = toy(shift, seed)[1]
    return auc(method.score(features, mass), label).value


@pytest.mark.statistical
@pytest.mark.parametrize(
    "name", ["cwola-hunting", "cathode", "lacathode", "transport", "anode", "r-anode", "salad"]
)
def test_a_signal_is_found_without_its_model(name, seed):
    """The exact ratio has an AUC of Phi(2) = .977; the spectrum alone has 4 standard deviations."""
    method = fitted(name, 0.0, seed)
    assert area(method, 0.0, seed) > 0.8
    events = toy(0.0, seed)[0]
    kept, all_of_it = (method.passed_ & (events.label == 1)).sum(), events.label.sum()
    assert kept / all_of_it > 10 * method.efficiency
    assert method.excess_.significance > method.before_.significance


@pytest.mark.statistical
def test_features_that_follow_the_mass_break_cwola_and_not_cathode(seed):
    """Window and sidebands differ in the background then; a flow follows it into the window."""
    areas = {
        name: area(fitted(name, 4.0, seed), 4.0, seed) for name in ("cwola-hunting", "cathode")
    }
    # Worse than a guess and better: single trainings on this toy end at 0.2 and at 0.7 to 0.9.
    assert areas["cwola-hunting"] < 0.4
    assert areas["cathode"] > 0.55


@pytest.mark.statistical
def test_bounds_are_ordered_and_know_the_labels(seed):
    supervised = area(fitted("supervised-bound", 0.0, seed), 0.0, seed)
    several = [area(fitted("idealised-bound", 0.0, seed + i), 0.0, seed + i) for i in range(3)]
    idealised = np.median(several)
    exact = auc(toy(0.0, seed)[3].log_ratio(*toy(0.0, seed)[1][:2]), toy(0.0, seed)[1][2])
    assert idealised > 0.8
    assert 0.9 < supervised < exact.value + 3 * exact.error


@pytest.mark.statistical
def test_a_template_that_is_given_serves_the_idealised_bound(seed):
    events, (features, mass, label), _, model = toy(0.0, seed)
    pure = model.events(40_000, 0, [seed, 9])
    options = {"signal_region": REGION, "folds": 2}
    method = Idealised(**options).fit(
        events.features,
        events.mass,
        label=events.label,
        simulation=(pure.features, pure.mass),
        seed=seed,
        progress=False,
    )
    assert auc(method.score(features, mass), label).value > 0.8


@pytest.mark.statistical
def test_r_anode_finds_the_share_of_signal(seed):
    events = toy(0.0, seed)[0]
    inside = (events.mass >= REGION[0]) & (events.mass < REGION[1])
    method = fitted("r-anode", 0.0, seed)
    assert isinstance(method, RAnode)
    assert method.shares_.shape == (2,)
    # Some signal lies where the background does, so that less of it may be seen.
    assert 0.4 < method.shares_.mean() / events.label[inside].mean() < 1.5


@pytest.mark.statistical
def test_salad_corrects_what_is_wrong_in_the_simulation(seed):
    """Simulation wrong by one standard deviation would send background to the signal's side."""
    events, (features, mass, label), _, model = toy(0.0, seed)
    simulation = model.simulation(20_000, [seed, 4], error=-1.0)
    method = Salad(signal_region=REGION, folds=2, training=SHORT).fit(
        events.features,
        events.mass,
        simulation=(simulation.features, simulation.mass),
        seed=seed,
        progress=False,
    )
    assert auc(method.score(features, mass), label).value > 0.75
    # Background has the ratio 1, whatever the simulation was: its scores stand about 1/2.
    assert np.median(method.score(features, mass)[label == 0]) == pytest.approx(0.5, abs=0.06)


@pytest.mark.statistical
def test_a_flow_follows_the_features_into_the_window(seed):
    """Learned beside the window, p(x | m) inside has the mean and the width that it should."""
    model = Resonance(distance=(2.0, 2.0), shift=3.0)
    events = model.events(20_000, 0, [seed, 5])
    outside = (events.mass < REGION[0]) | (events.mass >= REGION[1])
    flow = FeatureFlow(2, {"transforms": 2, "hidden": [32]}).ends(events.features)
    flow.fit(
        events.features[outside],
        events.mass[outside],
        np.ones(outside.sum()),
        np.arange(outside.sum()) % 10 == 0,
        Training(epochs=10, batch_size=256, learning_rate=5e-3, schedule="cosine"),
        seed=seed,
        folder=None,
        resume=False,
        progress=False,
        title="test",
    )
    random = np.random.default_rng([seed, 6])
    for mass in (3320.0, 3680.0):
        x = flow.decode(random.normal(size=(5_000, 2)), np.full(5_000, mass))
        # From -0.54 to 0.54 within the window; such trainings scatter by 0.06 and 0.02.
        np.testing.assert_allclose(x.mean(0), 3 * (mass - 3500) / 1000, atol=0.3)
        np.testing.assert_allclose(x.std(0), 1, atol=0.12)
    inside = ~outside
    z = flow.encode(events.features[inside], events.mass[inside])
    assert max(kstest(column, "norm").statistic for column in z.T) < 0.12
    # There and back is where one was.
    again = flow.decode(z, events.mass[inside])
    np.testing.assert_allclose(again, events.features[inside], atol=2e-3)


def test_an_event_is_never_judged_by_what_it_trained():
    """Whatever the events of a fold are, its judge stays the same, bit by bit."""
    model = Resonance(distance=(2.0, 1.0))
    events = model.events(3_000, 100, 7)
    probe = events.features[:200], events.mass[:200]
    for method in (
        CwolaHunting(folds=4, options={"rounds": 10}),
        Supervised(folds=3, options={"rounds": 10}),
    ):
        labels = {"label": events.label} if "label" in method.needs else {}
        method.fit(events.features, events.mass, progress=False, **labels)
        first, fold = method.judges_[0](*probe), method.fold_.copy()
        others = np.where(fold[:, None] == 0, 7.0, events.features)
        method.fit(others, events.mass, progress=False, **labels)
        np.testing.assert_array_equal(method.fold_, fold)
        np.testing.assert_array_equal(method.judges_[0](*probe), first)
        assert not np.array_equal(method.judges_[1](*probe), first)


def test_rows_of_one_event_are_in_one_fold():
    events = Resonance().events(3_000, 0, 8)
    numbers = np.repeat(np.arange(1_500), 2)
    method = CwolaHunting(folds=3, options={"rounds": 3})
    method.fit(events.features, events.mass, event=numbers, progress=False)
    np.testing.assert_array_equal(method.fold_[::2], method.fold_[1::2])


def test_the_same_share_of_each_fold_passes():
    events = Resonance().events(5_000, 0, 9)
    method = CwolaHunting(folds=4, efficiency=0.05, options={"rounds": 2, "leaves": 2})
    method.fit(events.features, events.mass, progress=False)
    # So few leaves give a few scores alone: chance decides which of the equal ones pass.
    for efficiency in (0.05, 0.2):
        passed = method.select(efficiency)
        for k in range(4):
            rows = method.fold_ == k
            assert passed[rows].sum() == int(efficiency * rows.sum() + 1e-9)
    np.testing.assert_array_equal(method.select(0.05), method.passed_)
    for k in range(4):
        rows = (method.fold_ == k) & method.passed_
        assert method.score_[rows].min() == method.thresholds_[k]


def test_an_interrupted_search_goes_on_with_the_next_fold(tmp_path, monkeypatch):
    events = Resonance(distance=(2.0, 1.0)).events(3_000, 100, 10)
    data = events.features, events.mass
    whole = CwolaHunting(folds=4, options={"rounds": 5}).fit(*data, progress=False)
    begun, judge = [], CwolaHunting._judge

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        begun.append(1)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return judge(self, *args, **options)

    monkeypatch.setattr(CwolaHunting, "_judge", interrupted)
    method = CwolaHunting(folds=4, options={"rounds": 5})
    with pytest.raises(KeyboardInterrupt):
        method.fit(*data, folder=tmp_path, progress=False)
    method.fit(*data, folder=tmp_path, resume=True, progress=False)
    assert len(begun) == 5
    np.testing.assert_array_equal(method.score_, whole.score_)
    # Another cut needs no training at all.
    looser = CwolaHunting(folds=4, options={"rounds": 5}, efficiency=0.1)
    looser.fit(*data, folder=tmp_path, resume=True, progress=False)
    assert len(begun) == 5
    assert looser.passed_.sum() > 5 * method.passed_.sum()


EVENTS = Resonance().events(2_000, 0, 11)


@pytest.mark.parametrize(
    ("options", "more", "sentence"),
    [
        ({"signal_region": (9000, 9500)}, {}, "signal_region 9000 to 9500 holds no event; masses"),
        ({"signal_region": (3700, 3300)}, {}, "signal_region is 3700 to 3300; give"),
        ({"signal_region": (1000, 3000)}, {}, "there is no event below the signal region"),
        ({"sidebands": (3400, 4000)}, {}, "sidebands end at 3400 and 4000; give ends outside"),
        ({"folds": 2}, {}, "folds is 2; nested folds need 3"),
        ({"folds": 90}, {}, "fold .* of 90 has . events in the signal region"),
        ({"classifier": "forest"}, {}, "classifier 'forest' is none of trees, network"),
        ({"options": {"hidden": [3]}}, {}, "options: 'hidden' is none of the classifier 'trees'"),
        ({"options": {"leaves": 1}}, {}, r"options.leaves is 1; it must be at least 2"),
        ({"efficiency": 0.0}, {}, "efficiency is 0; it must be above 0"),
        ({}, {"label": np.zeros(2000)}, "cwola-hunting looks at no labels; leave out label"),
        ({}, {"simulation": (1, 2)}, "learns the background from the data; leave out simulation"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(options, more, sentence):
    with pytest.raises(InputError, match=sentence):
        CwolaHunting(**options).fit(EVENTS.features, EVENTS.mass, progress=False, **more)


def test_what_a_member_needs_is_named():
    data = EVENTS.features, EVENTS.mass
    with pytest.raises(InputError, match="salad begins with simulated background; give simulation"):
        Salad().fit(*data)
    high = (EVENTS.features[:9], np.full(9, 9000.0))
    with pytest.raises(InputError, match="holds no simulated event; masses go from 9000 to 9000"):
        Salad().fit(*data, simulation=high)
    with pytest.raises(InputError, match="supervised-bound is a bound that knows the signal"):
        Supervised().fit(*data)
    with pytest.raises(InputError, match="label has to be 0 for background and 1 for signal"):
        Supervised().fit(*data, label=np.zeros(2000))


def test_perceptrons_average_their_best_epochs():
    events = Resonance(distance=(2.0, 2.0)).events(4_000, 200, 12)
    options = {"hidden": [8], "epochs": 6, "best_epochs": 3, "batch_size": 128}
    method = CwolaHunting(folds=3, classifier="network", efficiency=0.1, options=options, members=2)
    method.fit(events.features, events.mass, progress=False)
    assert method.judges_[0].options == [
        {"inputs": 2, "members": 1, "epochs": 3, "hidden": [8]} for _ in range(2)
    ]
    inside = (events.mass >= REGION[0]) & (events.mass < REGION[1])
    assert auc(method.score_[inside], events.label[inside]).value > 0.6
    assert classifier("network", options).epochs == 6
