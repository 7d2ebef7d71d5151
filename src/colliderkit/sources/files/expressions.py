"""Safe expressions over columns: ``log(abs(part_d0val) + 1e-3)``, ``(jet_pt > 550) & ...``.

Parsed with Python's own grammar and walked through a whitelist; nothing is ever evaluated as
code. (formulate parses too, but its way to a value is Python source to be evaluated, and it has
no sums over the particles of a jet.)
"""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import Column, shorten

Values = NDArray[Any] | int | float | bool

__all__ = ["FUNCTIONS", "REDUCTIONS", "Expression", "quoted", "split_expressions"]

FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "arctan2": (2, np.arctan2),
    "cos": (1, np.cos),
    "cosh": (1, np.cosh),
    "exp": (1, np.exp),
    "hypot": (2, np.hypot),
    "log": (1, np.log),
    "log10": (1, np.log10),
    "maximum": (2, np.maximum),
    "minimum": (2, np.minimum),
    "sin": (1, np.sin),
    "sinh": (1, np.sinh),
    "sqrt": (1, np.sqrt),
    "tan": (1, np.tan),
    "tanh": (1, np.tanh),
    "where": (3, np.where),
}
REDUCTIONS = ("all", "any", "count", "max", "min", "sum")
# A name in quotes; not of a text with a prefix, such as f'...'.
QUOTED = re.compile(r"""(?<![\w`"'])(?:`([^`]*)`|"([^"]*)"|'([^']*)')""")
LARGEST = 2**63  # integers of 64 bits with a sign end below it
EXACT = 2**53  # up to it a float64 holds every integer
Part = tuple[Values, NDArray[np.int64] | None, bool]

BINARY: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.Pow: np.power,
    ast.BitAnd: np.bitwise_and,
    ast.BitOr: np.bitwise_or,
    ast.BitXor: np.bitwise_xor,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
UNARY: dict[type[ast.AST], Callable[..., Any]] = {
    ast.UAdd: np.positive,
    ast.USub: np.negative,
    ast.Invert: np.invert,
    ast.Not: np.logical_not,
}


class Expression:
    """Parse `text`; calling it with columns returns a `Column`.

    Names are columns (dots allowed, as in ``constituents.px``); others stand in quotes, as in
    ``"jet pt [GeV]" > 20`` or between backticks. Known are the operators ``+ - * / // % **``,
    comparisons, ``& | ^ ~ and or not``, the `FUNCTIONS`, the `REDUCTIONS` over the particles of a
    jet (the largest of none is NaN) and elements, ``weights[0]`` or ``jet_pt[-1]``, NaN where there
    are fewer. Numbers of a jet meet those of its particles by repetition. Floats are computed in
    float64, integers in 64 bits with a sign: what leaves them is refused. Raises `InputError`
    naming what is not known.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._quoted: dict[str, str] = {}
        try:
            self._root = ast.parse(QUOTED.sub(self._placeholder, text.strip()), mode="eval").body
            self.names = tuple(dict.fromkeys(self._names(self._root)))
        except (SyntaxError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"expression '{text}' cannot be parsed: {error}; names with spaces or brackets"
                " stand in quotes."
            ) from error
        except (RecursionError, MemoryError) as error:
            raise InputError(f"expression '{text[:60]}...' is nested too deeply.") from error

    def _placeholder(self, match: re.Match[str]) -> str:
        """Keep the quoted name and return the word that stands for it in the grammar."""
        word = f"quoted_{len(self._quoted)}_"
        while word in self.text:
            word += "_"
        self._quoted[word] = match[0][1:-1]
        return word

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(self, columns: Mapping[str, Column]) -> Column:
        for name in self.names:
            if name not in columns:
                known = shorten(columns)
                raise InputError(
                    f"expression '{self.text}': unknown column '{name}'; known are {known}."
                )
        if isinstance(self._root, ast.Name | ast.Attribute):
            return columns[self.names[0]]
        rows = next((column for column in columns.values()), None)
        try:
            with np.errstate(all="ignore"):
                values, counts, padded = self._value(self._root, columns)
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"expression '{self.text}' cannot be computed: {error}.") from error
        if np.ndim(values) == 0:
            size = 0 if rows is None else len(rows.values if rows.counts is None else rows.counts)
            values = np.full(size, values)
        return Column(np.asarray(values), counts, padded)

    def truth(self, columns: Mapping[str, Column], path: Path) -> NDArray[np.bool_]:
        """Return one truth a jet (N,), as a selection needs; raise `InputError` for NaN."""
        values = self(columns).values
        if values.dtype.kind == "f" and np.isnan(values).any():
            event = int(np.argmax(np.isnan(values)))
            raise InputError(
                f"{path}: selection '{self.text}' is NaN in event {event} of those read, which is"
                " neither true nor false; compare with a number, or count first (count(x) > 0 and"
                " ...)."
            )
        return values.astype(bool)

    def level(self, levels: Mapping[str, int]) -> int:
        """Return 1 if the result has one number a particle, given the levels of its names."""
        return self._level(self._root, levels)

    def _refuse(self, what: str) -> InputError:
        known = ", ".join([*FUNCTIONS, *REDUCTIONS])
        return InputError(
            f"expression '{self.text}': {what} is not allowed; use columns, numbers,"
            f" + - * / // % ** < <= > >= == != & | ^ ~ and or not, and the functions {known}."
        )

    def _dotted(self, node: ast.AST) -> str:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise self._refuse(f"the attribute '.{parts[-1]}'")
        name = ".".join([self._quoted.get(node.id, node.id), *reversed(parts)])
        if "__" in name and node.id not in self._quoted:
            raise self._refuse(f"the name '{name}'")
        return name

    def _names(self, node: ast.AST) -> Iterable[str]:
        match node:
            case ast.Name() | ast.Attribute():
                yield self._dotted(node)
            case ast.Constant(value=bool() | int() | float()):
                pass
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                yield from self._names(left)
                yield from self._names(right)
            case ast.UnaryOp(operand=operand):
                yield from self._names(operand)
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self._names(value)
            case ast.Compare(left=left, ops=ops, comparators=others):
                for test in ops:
                    if type(test) not in BINARY:
                        raise self._refuse(f"the operator '{type(test).__name__.lower()}'")
                for value in (left, *others):
                    yield from self._names(value)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
                name in FUNCTIONS or name in REDUCTIONS
            ):
                need = FUNCTIONS[name][0] if name in FUNCTIONS else 1
                if len(args) != need:
                    raise InputError(
                        f"expression '{self.text}': {name} takes {need} argument(s),"
                        f" not {len(args)}."
                    )
                for value in args:
                    yield from self._names(value)
            case ast.Subscript(value=value, slice=place) if element(place) is not None:
                yield from self._names(value)
            case ast.Call(func=func, keywords=keywords):
                named = isinstance(func, ast.Name) and not keywords
                raise self._refuse(f"the {'call of' if named else 'call'} '{ast.unparse(func)}'")
            case _:
                raise self._refuse(f"'{ast.unparse(node)}' ({type(node).__name__})")

    def _level(self, node: ast.AST, levels: Mapping[str, int]) -> int:
        if isinstance(node, ast.Name | ast.Attribute):
            return levels[self._dotted(node)]
        if isinstance(node, ast.Subscript):
            return 0
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in REDUCTIONS:
                return 0
            return max(self._level(value, levels) for value in node.args)
        return max((self._level(part, levels) for part in operands(node)), default=0)

    def _value(self, node: ast.AST, columns: Mapping[str, Column]) -> Part:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return value, None, False
            case ast.Name() | ast.Attribute():
                column = columns[self._dotted(node)]
                values = column.values
                # Wide types: 32-bit floats lose the mass of a jet, small integers wrap around.
                if values.dtype.kind == "f":
                    values = values.astype(np.float64, copy=False)
                elif values.dtype != np.uint64 or int(values.max(initial=0)) < LARGEST:
                    wide = np.int64 if values.dtype.kind in "iu" else values.dtype
                    values = values.astype(wide, copy=False)
                return values, column.counts, column.padded
            case ast.UnaryOp(op=op, operand=operand):
                part = self._value(operand, columns)
                if isinstance(op, ast.Invert) and np.asarray(part[0]).dtype.kind != "b":
                    raise InputError(
                        f"expression '{self.text}': ~ of numbers counts in bits, and is true of 0"
                        " and of 1; write 'not', or compare (x == 0)."
                    )
                if isinstance(op, ast.USub | ast.UAdd):
                    self._signed(part[0])
                return self._apply(UNARY[type(op)], [part])
            case ast.BinOp(left=left, op=op, right=right):
                pair = [self._value(left, columns), self._value(right, columns)]
                if isinstance(op, ast.Pow):
                    # As floats: integers to negative powers are refused, large ones wrap around.
                    pair = [(np.asarray(x[0], dtype=np.float64)[()], x[1], x[2]) for x in pair]
                elif isinstance(op, ast.Add | ast.Sub | ast.Mult):
                    return self._apply(self._whole(BINARY[type(op)]), pair)
                return self._apply(BINARY[type(op)], pair)
            case ast.BoolOp(op=op, values=parts):
                result = self._value(parts[0], columns)
                for each in parts[1:]:
                    result = self._apply(BINARY[type(op)], [result, self._value(each, columns)])
                return result
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [self._value(side, columns) for side in (left, *others)]
                tests = [
                    self._apply(BINARY[type(op)], [sides[i], sides[i + 1]])
                    for i, op in enumerate(ops)
                ]
                result = tests[0]
                for test in tests[1:]:
                    result = self._apply(np.logical_and, [result, test])
                return result
            case ast.Subscript(value=value, slice=place):
                number = element(place)
                assert number is not None  # _names has checked it
                return self._element(number, *self._value(value, columns))
            case ast.Call(func=ast.Name(id=name), args=args):
                parts_ = [self._value(value, columns) for value in args]
                if name in FUNCTIONS:
                    return self._apply(FUNCTIONS[name][1], parts_)
                return self._reduce(name, *parts_[0])
        raise self._refuse(f"'{ast.unparse(node)}'")  # pragma: no cover: _names refused it

    def _apply(
        self,
        function: Callable[..., Any],
        parts: list[Part],
    ) -> Part:
        counts = next((part[1] for part in parts if part[1] is not None), None)
        if counts is None:
            return function(*(part[0] for part in parts)), None, False
        arguments = []
        for values, lengths, _ in parts:
            if lengths is None and np.ndim(values) > 0:
                values = np.repeat(np.asarray(values), counts)
            elif (
                lengths is not None
                and lengths is not counts
                and not np.array_equal(lengths, counts)
            ):
                raise InputError(
                    f"expression '{self.text}' mixes collections of different lengths; combine"
                    " columns of the same particles."
                )
            arguments.append(values)
        return function(*arguments), counts, any(part[2] for part in parts)

    def _reduce(
        self, name: str, values: Values, counts: NDArray[np.int64] | None, padded: bool
    ) -> Part:
        if counts is None:
            raise InputError(
                f"expression '{self.text}': {name} runs over the particles of a jet, but its"
                " argument has one number a jet."
            )
        if name == "count":
            return counts, None, False
        jets = np.repeat(np.arange(len(counts)), counts)
        flat, filled = np.asarray(values), counts > 0
        first = (np.cumsum(counts) - counts)[filled]
        if name in ("max", "min"):
            function = np.maximum if name == "max" else np.minimum
            found = function.reduceat(flat, first) if len(first) else flat[:0]
            return self._some(found, filled), None, False
        if name == "sum" and flat.dtype.kind in "biu":
            whole = np.zeros(len(counts), dtype=np.int64)
            if len(first):
                self._signed(flat)
                rough = np.add.reduceat(np.abs(flat.astype(np.float64)), first)
                self._within(float(rough.max()))
                whole[filled] = np.add.reduceat(flat, first, dtype=np.int64)
            return whole, None, False
        if name == "sum":
            return np.bincount(jets, flat, minlength=len(counts)), None, False
        count = np.bincount(jets, flat.astype(bool), minlength=len(counts))
        return (count == counts if name == "all" else count > 0), None, False

    def _element(
        self, number: int, values: Values, counts: NDArray[np.int64] | None, padded: bool
    ) -> Part:
        """Return the particle of this place of each jet; -1 is the last."""
        if counts is None:
            raise InputError(
                f"expression '{self.text}': [{number}] is of a list, but what it stands at has one"
                " number a jet."
            )
        have = counts > number if number >= 0 else counts >= -number
        begin = np.cumsum(counts) - counts
        place = (begin if number >= 0 else begin + counts) + number
        return self._some(np.asarray(values)[place[have]], have), None, False

    def _some(self, found: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
        """Return what is found, with NaN for the jets that have none."""
        if where.all():
            return found
        if found.dtype.kind in "iu" and np.abs(found.astype(np.float64)).max(initial=0) > EXACT:
            raise InputError(
                f"expression '{self.text}': some jets have no such element, and integers of more"
                " than 53 bits have no place for NaN; take the others by a selection on count."
            )
        values = np.full(len(where), np.nan)
        values[where] = found
        return values

    def _whole(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compute as numbers: truths are 0 and 1, and integers stay within 64 bits."""

        def compute(*sides: Any) -> Any:
            arrays = [np.asarray(side) for side in sides]
            if all(array.dtype.kind == "b" for array in arrays):
                if function is np.multiply:  # of truths alone it is a truth
                    return function(*sides)
                return function(*[array.astype(np.int64) for array in arrays])
            elif all(array.dtype.kind in "biu" for array in arrays):
                for array in arrays:
                    self._signed(array)
                rough = function(*[array.astype(np.float64) for array in arrays])
                self._within(float(np.abs(rough).max(initial=0)))
            return function(*sides)

        return compute

    def _signed(self, values: Values) -> None:
        array = np.asarray(values)
        if array.dtype == np.uint64:
            self._within(float(array.max(initial=0)))

    def _within(self, largest: float) -> None:
        if largest >= LARGEST:
            raise InputError(
                f"expression '{self.text}': {largest:.4g} is beyond the integers of 64 bits; count"
                " with floats (1.0 * x), or take a remainder (x % 1000000) of what is a number of"
                " an event."
            )


def element(place: ast.AST) -> int | None:
    """Return the number between brackets, ``[0]`` or ``[-1]``; None if it is anything else."""
    match place:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return -number
    return None


def quoted(name: str) -> str:
    """Write the name of a column as an expression takes it: in quotes where it needs them."""
    words = name.split(".")
    return name if all(word.isidentifier() for word in words) and "__" not in name else f"`{name}`"


def split_expressions(texts: Sequence[str] | str | None) -> list[str]:
    """Split ``mass, where(a > 0, b, c)`` at the commas that stand outside brackets.

    A sequence of such texts gives the parts of all of them. Raises `InputError` if a part is
    empty or no expression, or stands there twice.
    """
    parts: list[str] = []
    for text in [texts] if isinstance(texts, str) else texts or ():
        depth, begin = 0, 0
        for i, letter in enumerate(QUOTED.sub(lambda quote: "_" * len(quote[0]), text) + ","):
            depth += (letter in "([") - (letter in ")]")
            if letter == "," and depth <= 0:
                parts.append(text[begin:i].strip())
                begin = i + 1
        if depth:
            raise InputError(f"expression '{text}' cannot be parsed: its brackets do not close.")
    for text in parts:
        if not text:
            raise InputError(f"'{texts}' names an empty column; part names by single commas.")
        Expression(text)
        if parts.count(text) > 1:
            raise InputError(f"column '{text}' is named twice; give each once.")
    return parts


def operands(node: ast.AST) -> list[ast.AST]:
    """Return the operands of an operator, without the operator itself."""
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
