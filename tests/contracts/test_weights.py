"""Weights that users have: of any scale, and one that outweighs all others."""

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from colliderkit.errors import InputError
from contracts.cases import CASES

WEIGHTED = [name for name in CASES if not CASES[name].refuses_weight]
HEAVY = 7
# Their weights count events: a sum is a yield, or the size of an error.
COUNTS = {
    "bump-hunt",
    "estimate-calibration",
    "inference-aware",
    "iterative-bayes",
    "matrix-inversion",
    "omnifold",
    "generative-unfolding",
    "parameter-fit",
    "uncertainty-aware",
    "window-scan",
}


def fitted(name: str, weight: np.ndarray) -> tuple[Any, Any]:
    case = CASES[name]
    args, kwargs = case.data(1)
    given = case.weight(args, weight)
    return case.make().fit(*args, **kwargs, weight=given, seed=3, progress=False), args


def events(name: str) -> int:
    return len(CASES[name].data(1)[0][0])


@pytest.mark.parametrize("name", WEIGHTED)
def test_an_event_that_decides_is_named_with_the_effective_number(name: str) -> None:
    weight = np.ones(events(name))
    weight[HEAVY] = 1e8
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with suppress(InputError):  # what is left is too few events
            fitted(name, weight)
    said = [str(warning.message) for warning in caught]
    wanted = rf"event {HEAVY} (counted from 0) has 100.0% of the weights"
    assert any(wanted in text and "which count as 1;" in text for text in said), said


@pytest.mark.parametrize("name", sorted(set(WEIGHTED) - COUNTS))
def test_a_scale_of_all_weights_changes_nothing(name: str) -> None:
    count = events(name)
    weight = np.where(np.arange(count) % 3 == 0, 2.0, 1.0)
    answers = []
    for scale in (1.0, 1e-20, 1e20):
        method, args = fitted(name, weight * scale)
        answers.append(np.asarray(CASES[name].answer(method, args), dtype=np.float64))
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-3, atol=1e-4 * answers[0].std())
