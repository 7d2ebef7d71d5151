"""What every method promises, checked on every member of METHODS; after check_estimator.

A member without a case in `contracts/cases/` fails: nothing is skipped.
"""

import copy
import inspect
import json
import re
from typing import Any

import awkward as ak
import numpy as np
import pytest
from sklearn.base import clone

from colliderkit.claims import holds_work
from colliderkit.errors import InputError
from colliderkit.methods import METHODS
from colliderkit.methods.method import Method, NotFitted, load
from colliderkit.methods.state import attributes
from contracts.cases import CASES, Case

TAIL = {"weight": None, "seed": 0, "folder": None, "resume": False, "progress": True}
NAMES = [name for name in METHODS if name in CASES]
QUIET: dict[str, Any] = {"progress": False}


def fitted(case: Case, *, data: int = 1, seed: int = 3, **tail: Any) -> Any:
    args, kwargs = case.data(data)
    return case.make().fit(*args, **kwargs, seed=seed, **QUIET, **tail)


def answer(case: Case, method: Any, data: int = 1) -> np.ndarray:
    values = np.asarray(case.answer(method, case.data(data)[0]))
    assert values.size > 1
    assert np.isfinite(values).all()
    return values


def parameters(method: Method) -> dict[str, Any]:
    """The constructor's arguments; those of a method among them in its place."""
    return {
        name: (type(value), parameters(value)) if isinstance(value, Method) else value
        for name, value in method.get_params(deep=False).items()
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, ak.Array):
        return ak.to_list(one) == ak.to_list(other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return True


def test_every_method_has_a_case():
    assert sorted(CASES) == sorted(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_the_name_is_that_of_the_dictionary(name):
    assert METHODS.load(name).name == name


@pytest.mark.parametrize("name", METHODS)
def test_fit_ends_in_the_same_tail(name):
    tail = list(inspect.signature(METHODS.load(name).fit).parameters.values())[-len(TAIL) :]
    assert {p.name: p.default for p in tail} == TAIL
    assert [p.name for p in tail] == list(TAIL)
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in tail)


@pytest.mark.parametrize("name", METHODS)
def test_the_arguments_of_the_constructor_are_keywords_and_typed(name):
    for parameter in inspect.signature(METHODS.load(name)).parameters.values():
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name


@pytest.mark.parametrize("name", NAMES)
def test_a_clone_has_the_same_arguments_and_nothing_fitted(name):
    method = fitted(CASES[name])
    before = parameters(CASES[name].make())
    assert parameters(method) == before  # fit changes none
    copied = clone(method)
    assert parameters(copied) == before
    assert not set(vars(copied)) - set(before)
    for argument, value in before.items():  # the constructor stores them unchanged
        assert not isinstance(value, int | str | bool) or getattr(copied, argument) == value


@pytest.mark.parametrize("name", NAMES)
def test_fit_returns_the_method_and_leaves_its_data_alone(name):
    case = CASES[name]
    method, (args, kwargs) = case.make(), case.data(1)
    before = copy.deepcopy((args, kwargs))
    assert method.fit(*args, **kwargs, **QUIET) is method
    for now, then in zip((*args, *kwargs.values()), (*before[0], *before[1].values()), strict=True):
        assert same(now, then)
    # What fit sets is declared: the base saves it, and forgets it before the next fit.
    declared = {*method.get_params(deep=False), *attributes(type(method))}
    assert not set(vars(method)) - declared


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_method_gives_the_same_answers(name, tmp_path):
    method = fitted(CASES[name])
    again = load(method.save(tmp_path / name))
    assert type(again) is type(method)
    assert parameters(again) == parameters(method)
    assert again.seed_ == method.seed_
    np.testing.assert_array_equal(answer(CASES[name], again), answer(CASES[name], method))
    assert set(vars(again)) == set(vars(method))
    # Saved again, it is the same folder.
    twice = again.save(tmp_path / "again")
    for path in twice.iterdir():
        assert path.read_bytes() == (tmp_path / name / path.name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_folder_holds_json_and_safetensors_alone(name, tmp_path):
    folder = fitted(CASES[name]).save(tmp_path / name)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".safetensors"]
    refuse = pytest.fail  # NaN and Infinity are no JSON
    for path in folder.glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_answer(name):
    case = CASES[name]
    first = answer(case, fitted(case))
    np.random.seed(99)  # noqa: NPY002  a state that is not the method's own
    np.testing.assert_array_equal(answer(case, fitted(case)), first)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_fit_forgets_the_first(name):
    case = CASES[name]
    method = fitted(case, data=1, seed=5)
    args, kwargs = case.data(2)
    method.fit(*args, **kwargs, seed=3, **QUIET)
    fresh = fitted(case, data=2, seed=3)
    np.testing.assert_array_equal(answer(case, method, 2), answer(case, fresh, 2))
    assert set(vars(method)) == set(vars(fresh))


def weighted_and_repeated(case: Case, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The answers with weight 2 for every third event, and with these events twice."""
    args, kwargs = case.data(1)
    count = len(args[0])
    twice = np.arange(0, count, 3)
    weight = np.ones(count)
    weight[twice] = 2
    heavy = case.make().fit(*args, **kwargs, weight=case.weight(args, weight), seed=seed, **QUIET)
    more, keywords = case.repeat(args, kwargs, np.concatenate([np.arange(count), twice]))
    ones = case.weight(more, np.ones(count + len(twice)))
    repeated = case.make().fit(*more, **keywords, weight=ones, seed=seed, **QUIET)
    return answer(case, heavy), answer(case, repeated)


@pytest.mark.parametrize("name", [n for n in NAMES if not CASES[n].refuses_weight])
def test_a_weight_of_two_is_the_event_twice(name):
    case = CASES[name]
    if case.exact_weight:
        heavy, repeated = weighted_and_repeated(case)
        np.testing.assert_allclose(
            heavy, repeated, rtol=case.weight_tolerance, atol=case.weight_tolerance
        )
    else:
        # Other batches and another split of the same sample: as far apart as three seeds allow.
        answers = np.array([weighted_and_repeated(case, seed) for seed in (1, 2, 3)])
        difference = np.sqrt(np.mean((answers[:, 0] - answers[:, 1]).mean(0) ** 2))
        spread = np.sqrt(np.mean(answers.var(0, ddof=1)))
        assert difference < 5 * spread * np.sqrt(2 / 3)


@pytest.mark.parametrize("name", [n for n in NAMES if not CASES[n].refuses_weight])
def test_weights_are_not_ignored(name):
    case = CASES[name]
    args, _ = case.data(1)
    weight = np.where(np.arange(len(args[0])) % 3 == 0, 2.0, 1.0)
    heavy = fitted(case, weight=case.weight(args, weight))
    assert not np.array_equal(answer(case, heavy), answer(case, fitted(case)))


@pytest.mark.parametrize("name", [n for n in NAMES if CASES[n].refuses_weight])
def test_weights_are_refused_with_a_reason(name):
    case = CASES[name]
    args, _ = case.data(1)
    with pytest.raises(InputError, match=case.refuses_weight):
        fitted(case, weight=case.weight(args, np.ones(len(args[0]))))


@pytest.mark.parametrize("name", NAMES)
def test_bad_weights_are_named(name):
    case = CASES[name]
    if case.refuses_weight:
        return  # the test above
    args, _ = case.data(1)
    count = len(args[0])
    hole = np.ones(count)
    hole[4] = np.nan
    for weight, sentence in (
        (hole, r"the weight of event 4 \(counted from 0\) is nan"),
        (np.ones(count - 1), rf"weight has shape \({count - 1},\)"),
        (np.zeros(count), "weights sum to 0"),
    ):
        with pytest.raises(InputError, match=sentence):
            fitted(case, weight=case.weight(args, weight))


@pytest.mark.parametrize("name", NAMES)
def test_not_fitted_is_one_sentence(name, tmp_path):
    case = CASES[name]
    args, _ = case.data(1)
    sentence = f"^{type(case.make()).__name__} is not fitted; call fit, or load a fitted one\\.$"
    with pytest.raises(NotFitted, match=sentence):
        case.answer(case.make(), args)
    with pytest.raises(NotFitted, match=sentence):
        case.make().save(tmp_path / name)
    for verb in case.verbs.values():
        with pytest.raises(NotFitted, match=sentence):
            verb(case.make(), args)
        verb(fitted(case), args)


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_is_named(name):
    case = CASES[name]
    args, kwargs = case.data(1)
    with pytest.raises(InputError, match=r"(?i)nan\b|not finite") as error:
        case.make().fit(*case.nan(args), **kwargs, **QUIET)
    assert re.search(r"(event|jet|shower|experiment|run|trial) \d+", str(error.value))
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_kept_or_refused(name, tmp_path):
    case = CASES[name]
    with pytest.raises(InputError, match=r"resume goes on|keeps no checkpoints"):
        fitted(case, resume=True)
    if not METHODS.load(name).resumable:
        with pytest.raises(InputError, match="keeps no checkpoints"):
            fitted(case, folder=tmp_path / name)
        return
    kept = fitted(case, folder=tmp_path / name)
    np.testing.assert_array_equal(answer(case, kept), answer(case, fitted(case)))
    # A finished fit that is resumed has nothing left to do, and says the same.
    resumed = fitted(case, folder=tmp_path / name, resume=True)
    np.testing.assert_array_equal(answer(case, resumed), answer(case, kept))


OTHER = {
    "validation": 0.3,
    "held_out": 0.3,
    "members": 3,
    "folds": 3,
    "width": 2,
    "fractions": {"dijets": 0.2, "Z+jet": 0.9},
}


@pytest.mark.parametrize("name", [n for n in NAMES if METHODS.load(n).resumable])
def test_only_the_same_request_is_resumed(name, tmp_path):
    """Another seed, other data and another argument are refused, by name; anew they may be."""
    case = CASES[name]
    first = fitted(case, folder=tmp_path)
    if not holds_work(tmp_path):
        return  # without a network it is done before there is anything to keep
    argument = next(n for n in OTHER if n in parameters(case.make()))
    other = case.make().set_params(**{argument: OTHER[argument]})
    args, kwargs = case.data(1)
    tail = {"seed": 3, "folder": tmp_path, "resume": True, **QUIET}
    with pytest.raises(InputError, match=rf"of another request \(other: {argument}\)"):
        other.fit(*args, **kwargs, **tail)
    with pytest.raises(InputError, match=r"of another request \(other: seed\)"):
        fitted(case, folder=tmp_path, resume=True, seed=4)
    with pytest.raises(InputError, match=r"of another request \(other: the \w+"):
        fitted(case, folder=tmp_path, resume=True, data=2)
    np.testing.assert_array_equal(
        answer(case, fitted(case, folder=tmp_path, resume=True)), answer(case, first)
    )
    anew = fitted(case, folder=tmp_path, seed=4)
    np.testing.assert_array_equal(answer(case, anew), answer(case, fitted(case, seed=4)))


@pytest.mark.parametrize("name", NAMES)
def test_seeds_have_a_range(name):
    for seed in (-1, 2**64):
        with pytest.raises(InputError, match="seed is"):
            fitted(CASES[name], seed=seed)
    assert fitted(CASES[name], seed=2**64 - 1).seed_ == 2**64 - 1
