"""Tables of events: one sentence for each thing that may be wrong, one rule for validation."""

import warnings

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.tables import (
    Table,
    as_column,
    as_table,
    as_weight,
    filling,
    validation_mask,
)


def test_a_table_has_columns_weights_and_numbers():
    table = Table.checked([[1, 2], [3, 4]], "data", names=("m", "pt"), weight=[1, -0.5])
    assert table["pt"].tolist() == [2, 4]
    assert table.event.tolist() == [0, 1]
    assert len(table) == 2
    assert table.at([1]).weight.tolist() == [-0.5]
    assert Table.checked([1.0, 2.0], "data").names == ("column 0",)
    with pytest.raises(InputError, match="no column 'x'; the table has m, pt"):
        table["x"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((0, 2)), "data: holds no events"),
        (np.zeros((2, 0)), r"data: has shape \(2, 0\)"),
        (np.zeros((2, 2, 2)), "has shape"),
        (np.zeros((2, 3)), "has 3 columns for the 2 names m, pt"),
        ([[0, 1], [np.nan, 1]], r"data: column 'm' is nan in event 1 \(counted from 0\)"),
    ],
)
def test_what_is_no_table(values, sentence):
    with pytest.raises(InputError, match=sentence):
        as_table(values, "data", ("m", "pt"))


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ([1.0], "weight has shape"),
        ([1, np.inf, 1], "weight of event 1 .* is inf"),
        ([1, -1, 3], "weight of event 1 .* is -1; a width has no maximum"),
        ([0, 0, 0], "sum to 0"),
    ],
)
def test_what_is_no_weight(weight, sentence):
    with pytest.raises(InputError, match=sentence):
        as_weight(weight, 3, "data", negative="a width has no maximum")


def test_weights_default_to_one_and_may_be_negative():
    assert as_weight(None, 3).tolist() == [1, 1, 1]
    assert as_weight([2, -1, 0], 3).tolist() == [2, -1, 0]
    with pytest.raises(InputError, match="sum to -1"):
        as_weight([-1, 0], 2)


def test_a_weight_that_decides_is_warned_of() -> None:
    weight = np.ones(20_000)
    weight[7] = 1e9
    # (1e9 + 19,999)^2 / (1e18 + 19,999) = 1.00004
    with pytest.warns(UserWarning, match=r"data: event 7 .* has 100.0% .* 20000 .* count as 1;"):
        as_weight(weight, 20_000, "data")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_weight(np.where(np.arange(20_000) == 7, 1e4, 1.0), 20_000, "data")
        as_weight([1.0] * 9 + [-1.0] * 2, 11, "data")
    with pytest.warns(UserWarning, match="event 0"):
        as_weight(np.where(np.arange(20) == 0, 1e300, 1.0), 20)


def test_one_number_an_event():
    assert as_column([1, 2], 2, "truth").dtype == np.float64
    with pytest.raises(InputError, match=r"truth: has shape \(2, 1\) for 2 events"):
        as_column([[1], [2]], 2, "truth")
    with pytest.raises(InputError, match="truth is nan in event 1"):
        as_column([1, np.nan], 2, "truth")


def test_rows_of_one_event_are_never_parted():
    event = np.repeat(np.arange(1000), 3)
    held = validation_mask(event, 0.2, seed=5).reshape(-1, 3)
    assert (held.all(1) == held.any(1)).all()
    # Binomial: 1000 events with p = 0.2.
    assert abs(held[:, 0].sum() - 200) < 5 * (1000 * 0.2 * 0.8) ** 0.5
    more = validation_mask(np.arange(2000), 0.2, seed=5)
    assert np.array_equal(more[:1000], held[:, 0])


def test_both_sides_have_events():
    with pytest.raises(InputError, match="5 events of 1 numbers"):
        validation_mask(np.zeros(5, dtype=int), 0.5, seed=0)
    with pytest.raises(InputError, match="between 0 and 1"):
        validation_mask(np.arange(5), 1.0, seed=0)


def test_what_fills_in_for_none():
    x = np.random.default_rng(1).normal(0, 1, 1000)
    first = np.arange(1000) < 20
    assert filling(np.where(first, -999.0, x)) == -999
    assert filling(np.where(np.arange(1000) == 3, -99.0, x)) == -99
    # An atom below a long tail, and a whole number among others.
    tail = np.exp(9 + x)
    assert filling(np.where(first, -999.0, tail)) == -999
    assert filling(np.arange(-999, 1000)) is None
    assert filling(np.where(first, -998.0, x)) is None
    assert filling(np.full(5, -999.0)) is None
    assert filling(np.where(first, -999.0, np.nan)) is None
    assert filling(x) is None
