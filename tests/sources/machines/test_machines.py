"""Safe limits, slew and fallback of every machine; rates, dead time and trips in closed form."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.sources.machines import MACHINES
from colliderkit.sources.machines.high_voltage import HighVoltage
from colliderkit.sources.machines.prescales import MENU, Prescales

ALL = {name: MACHINES.build(name) for name in MACHINES}


@pytest.mark.parametrize("name", MACHINES)
def test_limits_that_make_no_sense_are_refused(name):
    machine = ALL[name]
    setting, low, high = machine.settings[0], machine.low[0], machine.high[0]
    for limits, sentence in (
        ({setting: [high, low]}, f"the limits of {setting} are inverted"),
        ({setting: [low, low]}, "are inverted"),
        ({setting: [low, 2 * high]}, "narrow them"),
        ({setting: [low]}, "give two numbers"),
        ({setting: [float("nan"), high]}, "give two numbers"),
        ({"magnet": [0, 1]}, "limits names the setting 'magnet'"),
    ):
        with pytest.raises(InputError, match=sentence):
            MACHINES.build(name, limits=limits)


@pytest.mark.parametrize("name", MACHINES)
def test_narrow_limits_hold_the_table_too(name):
    machine = ALL[name]
    low, high = machine.low[0], machine.high[0]
    third = low + (high - low) / 3
    narrow = MACHINES.build(name, limits={machine.settings[0]: [low, third]})
    assert low <= narrow.table[0] <= third


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_that_is_asked_for_leaves_the_limits(name):
    machine = ALL[name]
    state = machine.begin(machine.draw(4, 1), seed=2)
    random = torch.Generator().manual_seed(3)
    low, high, change = (
        torch.tensor(x, dtype=torch.float64) for x in (machine.low, machine.high, machine.change)
    )
    for _ in range(40):
        wanted = 1e6 * torch.randn(4, len(low), generator=random, dtype=torch.float64)
        wanted[0, 0] = float("inf")
        before = state.seen.settings
        state = machine.step(state, wanted)
        now = state.seen.settings
        assert ((now >= low) & (now <= high)).all()
        assert bool(state.fallback[0])
        assert state.outside[1:].all()
        if machine.slewed:
            assert ((now - before).abs() <= change + 1e-12).all()
        else:
            torch.testing.assert_close(now[0], torch.tensor(machine.table, dtype=torch.float64))
        assert torch.isfinite(state.loss).all()
    # What fell back ends at the table.
    if machine.slewed:
        for _ in range(40):
            state = machine.step(state, torch.full_like(state.seen.settings, float("nan")))
        torch.testing.assert_close(
            state.seen.settings[0], torch.tensor(machine.table, dtype=torch.float64)
        )


@pytest.mark.parametrize("name", MACHINES)
def test_noise_repeats_with_its_seed_alone(name):
    machine = ALL[name]
    trials = machine.draw(3, 1)

    def read(seed):
        state = machine.begin(trials, seed)
        return machine.step(state, state.seen.settings).seen.reading

    assert torch.equal(read(1), read(1))
    assert not torch.equal(read(1), read(2))
    assert torch.equal(read(None), read(None))


@pytest.mark.parametrize("name", MACHINES)
def test_trials_are_drawn_by_their_seed_and_checked(name):
    machine = ALL[name]
    assert np.array_equal(machine.draw(5, 1), machine.draw(5, 1))
    assert not np.array_equal(machine.draw(5, [1, 1]), machine.draw(5, [1, 2]))
    with pytest.raises(InputError, match=r"trials have the shape \(2, 2\)"):
        machine.checked(np.zeros((2, 2)))
    with pytest.raises(InputError, match="trials have the shape"):
        machine.checked(np.zeros((0, len(machine.conditions))))


def test_rates_and_value_of_a_section():
    """The first section of a fill, without noise: rates of the menu at its pileup."""
    machine = Prescales()
    mu = 50.0
    trial = np.array([[600.0, mu, 2.0, 0.0, 1.0, 500.0]])  # path 2 is hot in section 0
    seen = machine.begin(trial)
    raw = np.array([a + b * mu for a, b, _ in MENU.values()])
    kept = raw * np.exp(-0.5)
    hot = kept.copy()
    hot[2] *= 5
    np.testing.assert_allclose(seen.seen.reading[0], hot, rtol=1e-12)
    dead = 0.02 / 100 * max(hot.sum() - 1000, 0)
    value = (1 - dead) * sum(
        v * k / r**0.5 for (_, _, v), k, r in zip(MENU.values(), kept, raw, strict=True)
    )
    np.testing.assert_allclose(float(seen.figures["value"]), value, rtol=1e-12)
    after = machine.step(seen, seen.seen.settings).seen.reading[0]
    mu *= np.exp(-1 / 600)
    expected = [mu / 50 * (a + b * mu) * np.exp(-0.5) for a, b, _ in MENU.values()]
    np.testing.assert_allclose(after, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"menu": {"a": [1.0, 2.0]}}, "the path a of the menu"),
        ({"menu": {"a": [1.0, -2.0, 1.0]}}, "the path a of the menu"),
        ({"budget": 0.0}, "budget is 0"),
    ],
)
def test_a_menu_that_makes_no_sense_is_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Prescales(**options)


def test_a_trip_costs_an_hour_and_ageing_its_charge():
    machine = HighVoltage()
    trial = np.array([[0.0, 0.0, 0.0, 1e-3, 0.0]])
    state = machine.begin(trial)  # no noise, no trip
    efficiency = 1 / (1 + np.exp(-1 / 0.25))
    np.testing.assert_allclose(float(state.figures["value"]), efficiency, rtol=1e-12)
    np.testing.assert_allclose(float(state.hidden["aged"]), 1e-3, rtol=1e-12)
    # At the highest voltage a trip is certain within a few steps; then it is off for six.
    state, off = machine.begin(trial, seed=1), 0
    while not float(state.figures["trips"]):
        state = machine.step(state, torch.tensor([[1950.0]]))
    for _ in range(8):
        state = machine.step(state, torch.tensor([[1700.0]]))
        off += float(state.seen.reading[0, 1]) == 0
    assert off == 5  # beside the step of the trip
