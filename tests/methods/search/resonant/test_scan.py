"""A scan over windows: the bump's window is found, and a stopped scan goes on where it was."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.sources.toys.resonance import Resonance

QUICK = {"rounds": 10, "leaves": 5}


def search(**arguments):
    return CwolaHunting(folds=3, efficiency=0.05, options=QUICK, **arguments)


@pytest.mark.statistical
def test_the_window_of_the_bump_is_found_and_its_p_value_held_against_repetitions(seed):
    events = Resonance(distance=(3.0, 3.0)).events(10_000, 150, [seed, 12])
    scan = WindowScan(search(), bins=12, null=1, toys=99).fit(events.features, events.mass, seed=3)
    low, high = scan.windows_[scan.best_]
    assert low < 3500 < high
    assert scan.local_p_[scan.best_] < 1e-5
    assert scan.bound_ >= scan.local_p_.min()
    assert scan.null_.shape == (1, len(scan.windows_))
    assert scan.global_p_.counted.value == pytest.approx(1 / 2)
    assert scan.global_p_.value.value < 1e-3
    assert scan.toys_p_ == 0.01
    assert scan.search_.excess_.region == (low, high)


def test_a_scan_goes_on_where_it_stopped(tmp_path, monkeypatch):
    events = Resonance(distance=(3.0,)).events(2500, 0, 1)
    data = events.features, events.mass
    whole = WindowScan(search(), bins=9, null=2, toys=20).fit(*data, seed=5)
    calls = []
    fit = CwolaHunting.fit

    def counted(self, *args, **more):
        calls.append(self.signal_region)
        if len(calls) == 8:  # 3 windows, 3 of a first repetition, and a stop in the second
            raise KeyboardInterrupt
        return fit(self, *args, **more)

    monkeypatch.setattr(CwolaHunting, "fit", counted)
    again = WindowScan(search(), bins=9, null=2, toys=20)
    with pytest.raises(KeyboardInterrupt):
        again.fit(*data, seed=5, folder=tmp_path / "work")
    done = len(calls)
    again.fit(*data, seed=5, folder=tmp_path / "work", resume=True)
    assert len(calls) - done == 3 + 3  # of the finished windows the folds are read
    np.testing.assert_array_equal(again.local_p_, whole.local_p_)
    np.testing.assert_array_equal(again.null_, whole.null_)


def test_sidebands_move_with_the_window():
    method = search(signal_region=(3000.0, 3200.0), sidebands=(2900.0, 3400.0))
    scan = WindowScan(method, windows=[(3300.0, 3700.0)], toys=20)
    scan.edges_, scan.windows_ = np.linspace(2500, 5000, 20), np.array([[3300.0, 3700.0]])
    assert scan._search(0).sidebands == (3200.0, 3900.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"windows": [(3700.0, 3300.0)]}, "windows must be pairs"),
        ({"windows": [(1000.0, 1400.0)]}, "not inside of the masses"),
        ({"bins": 5}, "5 bins leave no window of 3"),
    ],
)
def test_windows_that_are_none(arguments, sentence):
    events = Resonance(distance=(1.0,)).events(500, 0, 1)
    with pytest.raises(InputError, match=sentence):
        WindowScan(search(), **arguments).fit(events.features, events.mass)


def test_weights_and_repetitions_do_not_meet():
    events = Resonance(distance=(1.0,)).events(500, 0, 1)
    with pytest.raises(InputError, match="leave out weight and label"):
        WindowScan(search(), null=1).fit(events.features, events.mass, weight=np.ones(500))


def test_a_signal_region_without_events_is_named():
    events = Resonance(distance=(1.0,)).events(2000, 0, 1)
    with pytest.raises(InputError, match="signal_region 5500 to 5600 holds no event"):
        search(signal_region=(5500.0, 5600.0)).fit(events.features, events.mass)
