"""A menu by hand: who accepts what, rates, overlaps, pure rates, and their errors."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.menu import Menu, menu_rates

COLUMNS = {
    "e1_pt": [50.0, 0.0, 60.0, 10.0, 0.0],
    "met_pt": [10.0, 90.0, 90.0, 20.0, 0.0],
}
MENU = Menu({"electron": "e1_pt > 30", "missing": "met_pt > 50", "any": "met_pt > 5"}, {"any": 2})


def test_a_menu_by_hand():
    accepted = MENU.accepts(COLUMNS)
    np.testing.assert_array_equal(
        accepted, np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    )
    found = menu_rates(accepted, MENU.shares, list(MENU.items), input_rate=50.0)
    # Each event is 10 of the rate; "any" keeps a half of what it accepts.
    assert [v.value for v in found.rate] == [20, 20, 20]
    # Pure: electron in event 0 if "any" is not drawn (1/2); missing likewise in event 1; "any" in
    # event 3 (1/2). Event 2 has two items without a prescale.
    assert [v.value for v in found.pure] == [5, 5, 5]
    np.testing.assert_allclose(found.both, [[20, 10, 10], [10, 20, 10], [10, 10, 20]])
    np.testing.assert_allclose(found.shared[0], [1, 0.5, 0.5])
    assert found.total.value == pytest.approx(35)
    # Errors of means of 5 events.
    for value, p in (
        (found.rate[0], [1, 0, 1, 0, 0]),
        (found.pure[0], [0.5, 0, 0, 0, 0]),
        (found.total, [1, 1, 1, 0.5, 0]),
    ):
        assert value.error == pytest.approx(50 * np.std(p) / 5**0.5)
    assert found.both_error[0, 1] == pytest.approx(50 * np.std([0, 0, 1, 0, 0]) / 5**0.5)
    assert found.both_error[0, 2] == pytest.approx(50 * np.std([0.5, 0, 0.5, 0, 0]) / 5**0.5)


def test_an_item_that_nothing_passes_has_the_error_of_one():
    found = menu_rates(np.zeros((10, 2), bool), [1.0, 1.0], ["a", "b"], input_rate=100.0)
    assert (found.pure[0].value, found.pure[0].error) == (0, 10)
    assert not found.shared.any()


def test_weights_count_events():
    accepted = MENU.accepts(COLUMNS)
    weight = np.array([2.0, 1, 3, 1, 1])
    twice = menu_rates(
        np.repeat(accepted, weight.astype(int), axis=0), MENU.shares, list("abc"), input_rate=8.0
    )
    found = menu_rates(accepted, MENU.shares, list("abc"), input_rate=8.0, weight=weight)
    np.testing.assert_allclose(found.both, twice.both)
    assert found.pure[0].value == pytest.approx(twice.pure[0].value)
    assert found.total.value == pytest.approx(twice.total.value)


@pytest.mark.statistical
def test_expected_rates_are_those_of_drawn_prescales(seed):
    random = np.random.default_rng(seed)
    accepted, shares = random.uniform(size=(4_000, 4)) < 0.3, np.array([1, 0.5, 0.2, 0.05])
    found = menu_rates(accepted, shares, list("abcd"), input_rate=1.0)
    rows = accepted & (random.uniform(size=(200, *accepted.shape)) < shares)
    alone = (rows & (rows.sum(2, keepdims=True) == 1)).mean((0, 1))
    # Of the draws alone: the events are the same.
    error = np.sqrt(alone / rows.shape[0] / rows.shape[1])
    pure = np.array([v.value for v in found.pure])
    assert (np.abs(alone - pure) < 5 * error).all()
    both = (rows[..., 0] & rows[..., 1]).mean()
    assert abs(found.both[0, 1] - both) < 5 * (both / rows.shape[0] / rows.shape[1]) ** 0.5
    assert abs(found.total.value - rows.any(2).mean()) < 5 * 0.5 / (200 * 4_000) ** 0.5


def test_bad_input_is_one_sentence():
    with pytest.raises(InputError, match="the menu has no items"):
        Menu({})
    with pytest.raises(InputError, match="no item 'muon'; it has electron"):
        Menu({"electron": "e1_pt > 3"}, {"muon": 2})
    with pytest.raises(InputError, match=r"that of 'electron' is 0.5; it is 1 or more"):
        Menu({"electron": "e1_pt > 3"}, {"electron": 0.5})
    with pytest.raises(InputError, match="unknown column 'mu1_pt'"):
        Menu({"muon": "mu1_pt > 3"}).accepts(COLUMNS)
    with pytest.raises(InputError, match=r"item 'x': log\(e1_pt - 99\) is NaN in event 0"):
        Menu({"x": "log(e1_pt - 99)"}).accepts(COLUMNS)
    with pytest.raises(InputError, match=r"shape \(5, 3\) have 2 prescales and 2 names"):
        menu_rates(MENU.accepts(COLUMNS), [1, 1], ["a", "b"], input_rate=1.0)
