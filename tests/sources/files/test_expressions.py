import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import Column
from colliderkit.sources.files.expressions import FUNCTIONS, Expression, quoted, split_expressions

COUNTS = np.array([2, 0, 3])
RANDOM = np.random.default_rng(0)
COLUMNS = {
    "x": Column(np.array([1.5, -2.0, 0.25])),
    "n": Column(np.array([3, 0, -4])),
    "p.pt": Column(np.array([5.0, 4.0, 3.0, 2.0, 1.0]), COUNTS),
    "q": Column(np.array([1, -1, 1, 0, -1], dtype=np.int8), COUNTS),
    "other": Column(np.zeros(4), np.array([1, 1, 2])),
}


def value(text: str) -> np.ndarray:
    return Expression(text)(COLUMNS).values


# Random arithmetic, built as text and, independently, as numpy calls.
leaf = st.one_of(
    st.sampled_from([("x", COLUMNS["x"].values), ("n", COLUMNS["n"].values)]),
    st.floats(-1e3, 1e3).map(lambda c: (repr(c), c)),
)


def quiet(function: np.ufunc, *arguments: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return function(*arguments)


def grow(child: st.SearchStrategy) -> st.SearchStrategy:
    binary = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
    binary |= {"<": np.less, ">=": np.greater_equal}
    unary = {"abs": np.abs, "sin": np.sin, "tanh": np.tanh, "cos": np.cos}

    def join(op: str, a: tuple, b: tuple) -> tuple:
        # Truths are added as numbers: numpy refuses to subtract booleans.
        left, right = (np.multiply(side[1], 1.0) for side in (a, b))
        return f"((1.0 * {a[0]}) {op} (1.0 * {b[0]}))", quiet(binary[op], left, right)

    return st.one_of(
        st.builds(join, st.sampled_from(sorted(binary)), child, child),
        st.builds(
            lambda f, a: (f"{f}(1.0 * {a[0]})", quiet(unary[f], np.multiply(a[1], 1.0))),
            st.sampled_from(sorted(unary)),
            child,
        ),
        st.builds(
            lambda a, b: (f"maximum(-{a[0]}, 1.0 * {b[0]})", np.maximum(-a[1], 1.0 * b[1])),
            leaf,
            child,
        ),
    )


@given(st.recursive(leaf, grow, max_leaves=12))
@settings(max_examples=300, deadline=None)
def test_equals_numpy(case: tuple) -> None:
    text, expected = case
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(value(text), np.broadcast_to(expected, 3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", [1.5, -2, 0.25]),
        ("-x ** 2", [-2.25, -4, -0.0625]),
        ("2 ** -1 * n", [1.5, 0, -2]),
        ("n // 2 + n % 2", [2, 0, -2]),
        ("(x > 0) & (n > 0)", [True, False, False]),
        ("~(x > 0) | (n == 3)", [True, True, False]),
        ("x > 0 and not n > 0", [False, False, True]),
        ("-3 < x < 1", [False, True, True]),
        ("where(n > 0, x, -1)", [1.5, -1, -1]),
        ("hypot(3, 4) + 0 * x", [5, 5, 5]),
        ("log10(100)", [2, 2, 2]),
        ("sum(p.pt)", [9, 0, 6]),
        ("sum(q)", [0, 0, 0]),
        ("count(q)", [2, 0, 3]),
        ("any(q < 0)", [True, False, True]),
        ("all(p.pt > 2)", [True, True, False]),
        ("max(p.pt)", [5, np.nan, 3]),
        ("min(p.pt * q)", [-4, np.nan, -1]),
        ("max(q)", [1, np.nan, 1]),
        ("p.pt[0]", [5, np.nan, 3]),
        ("p.pt[-1]", [4, np.nan, 1]),
        ("(p.pt * q)[2]", [np.nan, np.nan, -1]),
        ("where(count(q) > 0, q[0], 7)", [1, 7, 1]),
        ("(x > 0) + (n > 0)", [2, 0, 1]),
        ("(x > 0) - (n > 0)", [0, 0, 1]),
        ("~((x > 0) * (n > 0))", [False, True, True]),
        ('`x` + "n"', [4.5, -2, -3.75]),
        ("sum(p.pt * x)", [13.5, 0, 1.5]),
        ("sum(p.pt > x)", [2, 0, 3]),
    ],
)
def test_values(text: str, expected: list) -> None:
    np.testing.assert_array_equal(value(text), expected)


def test_a_number_of_a_jet_meets_its_particles() -> None:
    result = Expression("p.pt - x")(COLUMNS)
    np.testing.assert_array_equal(result.values, [3.5, 2.5, 2.75, 1.75, 0.75])
    assert result.counts is COUNTS


def test_single_precision_is_computed_in_double() -> None:
    energy = np.array([1000.0], dtype=np.float32)
    momentum = np.array([999.99], dtype=np.float32)
    columns = {"e": Column(energy), "p": Column(momentum)}
    exact = np.sqrt(np.float64(energy) ** 2 - np.float64(momentum) ** 2)
    np.testing.assert_array_equal(Expression("sqrt(e**2 - p**2)")(columns).values, exact)


def test_small_and_unsigned_integers_do_not_wrap() -> None:
    columns = {"i": Column(np.array([100], np.int8)), "u": Column(np.array([1], np.uint32))}
    assert Expression("i * 100")(columns).values == 10_000
    assert Expression("u - 3")(columns).values == -2


def test_names_in_quotes() -> None:
    names = ("jet pt [GeV]", "a.b[0]", "log", "x,y", "__m")
    columns = {name: Column(np.array([float(k)])) for k, name in enumerate(names)}
    for k, name in enumerate(names):
        for mark in "`\"'":
            assert Expression(f"10 * {mark}{name}{mark} + 1")(columns).values == 10 * k + 1
            assert Expression(f"{mark}{name}{mark}").names == (name,)
    texts = split_expressions('"jet pt [GeV]", log(`x,y`),`a.b[0]`')
    assert texts == ['"jet pt [GeV]"', "log(`x,y`)", "`a.b[0]`"]
    assert [quoted(name) for name in ("a.b", "a b", "__m")] == ["a.b", "`a b`", "`__m`"]
    with pytest.raises(InputError, match="names with spaces or brackets stand in quotes"):
        Expression("jet pt > 5")


def test_integers_keep_sign_and_digits() -> None:
    large = np.array([2**63 + 5, 7], np.uint64)
    signed = np.array([2**62 + 1, -(2**62) - 3])
    counts = np.array([2])
    columns = {"u": Column(large), "i": Column(signed), "l": Column(signed, counts)}
    columns |= {"v": Column(large, counts), "s": Column(np.array([2**60 + 1, 1]), counts)}
    assert Expression("u")(columns).values.tolist() == [2**63 + 5, 7]
    assert Expression("u % 1000")(columns).values.tolist() == [(2**63 + 5) % 1000, 7]
    assert Expression(f"u == {2**63 + 5}")(columns).values.tolist() == [True, False]
    assert Expression("u // 4 + 1")(columns).values.tolist() == [(2**63 + 5) // 4 + 1, 2]
    assert Expression("i + 1")(columns).values.tolist() == [2**62 + 2, -(2**62) - 2]
    assert Expression("sum(s)")(columns).values.tolist() == [2**60 + 2]
    assert Expression("max(l)")(columns).values.tolist() == [2**62 + 1]
    assert Expression("l[1]")(columns).values.tolist() == [-(2**62) - 3]
    for text in ("u + 1", "-u", "i * 4", "i + i", "sum(v)", "u - u", "sum(l * 2)"):
        with pytest.raises(InputError, match="is beyond the integers of 64 bits"):
            Expression(text)(columns)
    short = {"l": Column(signed, np.array([2, 0]))}
    with pytest.raises(InputError, match="some jets have no such element"):
        Expression("l[0]")(short)


def test_bits_of_numbers_are_no_truths() -> None:
    with pytest.raises(InputError, match="~ of numbers counts in bits"):
        value("~n")


def test_levels() -> None:
    assert Expression("x[0] + p.pt[1]").level({"x": 1, "p.pt": 1}) == 0
    levels = {"x": 0, "p.pt": 1}
    assert Expression("x + 1").level(levels) == 0
    assert Expression("x + p.pt").level(levels) == 1
    assert Expression("sum(x + p.pt) > 2").level(levels) == 0
    assert Expression("where(x > 0, p.pt, 0)").level(levels) == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("__import__('os').system('true')", "__import__"),
        ("open('x')", "open"),
        ("x.__class__", "x.__class__"),
        ("(x + 1).real", ".real"),
        ("p.pt.sum()", "p.pt.sum"),
        ("np.exp(x)", "np.exp"),
        ("eval('1')", "eval"),
        ("lambda: 1", "lambda"),
        ("q[n]", "q[n]"),
        ("q[0:1]", "q[0:1]"),
        ("q[0.5]", "q[0.5]"),
        ("q[True]", "q[True]"),
        ("[x]", "[x]"),
        ("1j * x", "1j"),
        ("x if x else x", "if"),
        ("(y := x)", "y := x"),
        ("x @ x", "x @ x"),
        ("x << 9", "x << 9"),
        ("x is x", "is"),
        ("abs(x=1)", "abs"),
        ("abs(*x)", "*x"),
        ("f'{x}'", "{x}"),
    ],
)
def test_nothing_else_is_allowed(text: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        Expression(text)(COLUMNS)
    sentence = str(caught.value)
    assert text in sentence
    assert name in sentence
    assert "log10" in sentence  # the known ones are listed
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jet_pq > 5", "unknown column 'jet_pq'; known are x, n, p.pt"),
        ("x +", "cannot be parsed"),
        ("", "cannot be parsed"),
        ("x\0", "cannot be parsed"),
        ("hypot(x)", "hypot takes 2 argument"),
        ("p.pt + other", "mixes collections"),
        ("sum(x)", "one number a jet"),
        ("x[0]", "one number a jet"),
        ("(x > 0) & x", "cannot be computed"),
        ("(" * 300 + "x" + ")" * 300, "cannot be parsed"),
        ("+".join(["x"] * 20_000), "nested too deeply"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match="(?s)" + message.replace("(", r"\(")):
        Expression(text)(COLUMNS)


def test_powers_of_constants_end() -> None:
    assert np.isinf(value("9.0 ** 9 ** 9 ** 9")).all()
    assert np.isinf(value("9 ** 9 ** 9 ** 9")).all()


def test_no_code_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr("builtins.eval", refuse)
    monkeypatch.setattr("builtins.exec", refuse)
    np.testing.assert_array_equal(value("x + 1"), [2.5, -1, 1.25])


def test_functions_are_numpys() -> None:
    for name, (count, function) in FUNCTIONS.items():
        assert getattr(np, name) is function
        arguments = [np.array([0.5, 1.0, 2.0])] * count
        names = ", ".join(["a"] * count)
        columns = {"a": Column(arguments[0])}
        np.testing.assert_array_equal(
            Expression(f"{name}({names})")(columns).values, function(*arguments)
        )
