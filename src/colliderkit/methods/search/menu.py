"""Trigger menu: which items accept an event, their rates, prescales, overlaps and pure rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, as_weight
from colliderkit.metrics.value import Value
from colliderkit.sources.files.columns import Column
from colliderkit.sources.files.expressions import Expression

__all__ = ["Menu", "Rates", "menu_rates", "rate_of"]


@dataclass(frozen=True)
class Menu:
    """Accept an event by any of several items, each with its prescale.

    - `items`: {name: condition}, expressions over columns such as ``(e1_pt > 30) & (met_pt > 40)``;
    - `prescales`: {name: n}: of the events that an item accepts one in n is kept, 1 if not given.

    Raises `InputError` for a menu without items and a prescale of an item that is not in it.
    """

    items: Mapping[str, str]
    prescales: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.items:
            raise InputError("the menu has no items; give {name: condition}.")
        for name, prescale in self.prescales.items():
            if name not in self.items:
                raise InputError(
                    f"prescales: the menu has no item '{name}'; it has {', '.join(self.items)}."
                )
            if not prescale >= 1:
                raise InputError(
                    f"prescales: that of '{name}' is {prescale:g}; it is 1 or more, the events of"
                    " which one is kept."
                )

    @property
    def shares(self) -> Floats:
        """The share of what each item accepts that is kept, (K,): 1 / prescale."""
        return np.array([1.0 / self.prescales.get(name, 1.0) for name in self.items])

    def accepts(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Return which items accept each event, before prescales, (N, K), by columns (N,).

        Raises `InputError` for a condition that cannot be read, names no such column, or is NaN.
        """
        known = {name: Column(np.asarray(values)) for name, values in columns.items()}
        found = []
        for name, condition in self.items.items():
            values = Expression(condition)(known).values
            if values.dtype.kind == "f" and np.isnan(values).any():
                event = int(np.isnan(values).argmax())
                raise InputError(
                    f"menu item '{name}': {condition} is NaN in event {event}, which is neither"
                    " true nor false; compare with a number."
                )
            found.append(values.astype(bool))
        return np.stack(found, axis=1)


@dataclass(frozen=True)
class Rates:
    """Rates of a menu, each ± its counting error, in the unit of the input rate.

    - `names` (K,) of the items; `rate` of each, after its prescale;
    - `pure`: the part of it that no other item keeps;
    - `both` (K, K): what two items keep, `both_error`; the rate of each on the diagonal;
    - `total`: what any keeps.
    """

    names: list[str]
    rate: list[Value]
    pure: list[Value]
    both: Floats
    both_error: Floats
    total: Value

    @property
    def shared(self) -> Floats:
        """The share of each item (row) that each other (column) keeps as well, (K, K)."""
        own = np.diag(self.both)[:, None]
        shared: Floats = np.divide(self.both, own, out=np.zeros_like(self.both), where=own > 0)
        return shared


def menu_rates(
    accepted: NDArray[np.bool_],
    shares: ArrayLike,
    names: Sequence[str],
    *,
    input_rate: float,
    weight: ArrayLike | None = None,
) -> Rates:
    """Return rates, overlaps and pure rates of K items that accept events of the stream.

    `accepted` (N, K) says which item accepts which event, and `shares` (K,) what part of them its
    prescale leaves. Prescales of different items count on their own, so that an event is kept by
    item i with probability p_i = a_i share_i, by i alone with p_i prod_(j != i) (1 - p_j), by i and
    j with p_i p_j and by any with 1 - prod (1 - p_j). The rates are `input_rate` times the mean of
    these, with the error of the mean; nothing is drawn. `weight` (N,), 0 or more, undoes a
    prescale of the stream itself. Raises `InputError` for weights below 0 and shapes that differ.
    """
    part = np.asarray(shares, dtype=np.float64)
    if accepted.ndim != 2 or accepted.shape[1:] != part.shape or len(names) != len(part):
        raise InputError(
            f"decisions of shape {accepted.shape} have {len(part)} prescales and {len(names)}"
            " names; give (events, items), and one of each for an item."
        )
    weights = as_weight(weight, len(accepted), "the events", negative="a rate counts events")
    p = accepted * part
    off = 1 - p
    one = np.ones((len(p), 1))
    # The product over all others: of those before an item times those after it.
    before = np.cumprod(np.hstack([one, off[:, :-1]]), axis=1)
    after = np.cumprod(np.hstack([one, off[:, :0:-1]]), axis=1)[:, ::-1]
    alone = p * before * after

    def rates(each: Floats) -> list[Value]:
        return [rate_of(each[:, i], weights, input_rate) for i in range(each.shape[1])]

    both, error = _means(p, weights)
    single, any_item = rates(p), rate_of(1 - off.prod(axis=1), weights, input_rate)
    np.fill_diagonal(both, [v.value / input_rate for v in single])
    np.fill_diagonal(error, [v.error / input_rate for v in single])
    return Rates(list(names), single, rates(alone), input_rate * both, input_rate * error, any_item)


def rate_of(kept: ArrayLike, weight: Floats, input_rate: float) -> Value:
    """Return the rate of events that are kept with probabilities (N,), ± the error of the mean.

    Of none that are kept the error is that of one.
    """
    p = np.asarray(kept, dtype=np.float64)
    total = weight.sum()
    mean = float(weight @ p / total)
    error = float(np.sqrt((weight**2) @ (p - mean) ** 2) / total)
    if not p.any():
        error = float(1 / len(p))
    return Value(input_rate * mean, input_rate * error)


def _means(p: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the weighted means of p_i p_j, (K, K), and their errors."""
    total = weight.sum()
    mean = (p * weight[:, None]).T @ p / total
    # sum w^2 (x - m)^2 with x = p_i p_j.
    square, linear = (p * weight[:, None]) ** 2, p * weight[:, None] ** 2
    spread = square.T @ p**2 - 2 * mean * (linear.T @ p) + mean**2 * (weight**2).sum()
    return mean, np.sqrt(np.maximum(spread, 0)) / total
