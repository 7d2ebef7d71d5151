"""Safe expressions over columns: ``log(abs(part_d0val) + 1e-3)``, ``(jet_pt > 550) & ...``.

Parsed with Python's own grammar and walked through a whitelist; nothing is ever evaluated as
code. (formulate parses too, but its way to a value is Python source to be evaluated, and it has
no sums over the particles of a jet.)
"""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import Column, shorten

__all__ = ["FUNCTIONS", "REDUCTIONS", "Expression", "split_expressions"]

Values = NDArray[Any] | int | float | bool

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
REDUCTIONS = ("all", "any", "count", "sum")

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

    Names are columns (dots allowed, as in ``constituents.px``). Known are the operators
    ``+ - * / // % **``, comparisons, ``& | ^ ~ and or not``, the `FUNCTIONS`, and the
    `REDUCTIONS` over the particles of a jet. Numbers of a jet meet those of its particles by
    repetition. Floats are computed in float64. Raises `InputError` naming what is not known.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._root = ast.parse(text.strip(), mode="eval").body
            self.names = tuple(dict.fromkeys(self._names(self._root)))
        except (SyntaxError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"expression '{text}' cannot be parsed: {error}.") from error
        except (RecursionError, MemoryError) as error:
            raise InputError(f"expression '{text[:60]}...' is nested too deeply.") from error

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
        name = ".".join([node.id, *reversed(parts)])
        if "__" in name:
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
            case ast.Call(func=func, keywords=keywords):
                named = isinstance(func, ast.Name) and not keywords
                raise self._refuse(f"the {'call of' if named else 'call'} '{ast.unparse(func)}'")
            case _:
                raise self._refuse(f"'{ast.unparse(node)}' ({type(node).__name__})")

    def _level(self, node: ast.AST, levels: Mapping[str, int]) -> int:
        if isinstance(node, ast.Name | ast.Attribute):
            return levels[self._dotted(node)]
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in REDUCTIONS:
                return 0
            return max(self._level(value, levels) for value in node.args)
        return max((self._level(part, levels) for part in operands(node)), default=0)

    def _value(
        self, node: ast.AST, columns: Mapping[str, Column]
    ) -> tuple[Values, NDArray[np.int64] | None, bool]:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return value, None, False
            case ast.Name() | ast.Attribute():
                column = columns[self._dotted(node)]
                values = column.values
                # Wide types: 32-bit floats lose the mass of a jet, small integers wrap around.
                if values.dtype.kind in "fiu":
                    wide = np.float64 if values.dtype.kind == "f" else np.int64
                    values = values.astype(wide, copy=False)
                return values, column.counts, column.padded
            case ast.UnaryOp(op=op, operand=operand):
                return self._apply(UNARY[type(op)], [self._value(operand, columns)])
            case ast.BinOp(left=left, op=op, right=right):
                pair = [self._value(left, columns), self._value(right, columns)]
                if isinstance(op, ast.Pow) and isinstance(pair[1][0], int | np.integer):
                    # As floats: integers to negative powers are refused, large ones wrap around.
                    pair[1] = (float(pair[1][0]), *pair[1][1:])
                return self._apply(BINARY[type(op)], pair)
            case ast.BoolOp(op=op, values=parts):
                result = self._value(parts[0], columns)
                for part in parts[1:]:
                    result = self._apply(BINARY[type(op)], [result, self._value(part, columns)])
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
            case ast.Call(func=ast.Name(id=name), args=args):
                parts_ = [self._value(value, columns) for value in args]
                if name in FUNCTIONS:
                    return self._apply(FUNCTIONS[name][1], parts_)
                return self._reduce(name, *parts_[0])
        raise self._refuse(f"'{ast.unparse(node)}'")  # pragma: no cover: _names refused it

    def _apply(
        self,
        function: Callable[..., Any],
        parts: list[tuple[Values, NDArray[np.int64] | None, bool]],
    ) -> tuple[Values, NDArray[np.int64] | None, bool]:
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
    ) -> tuple[Values, NDArray[np.int64] | None, bool]:
        if counts is None:
            raise InputError(
                f"expression '{self.text}': {name} runs over the particles of a jet, but its"
                " argument has one number a jet."
            )
        if name == "count":
            return counts, None, False
        jets = np.repeat(np.arange(len(counts)), counts)
        flat = np.asarray(values)
        if name == "sum":
            total = np.bincount(jets, flat.astype(np.float64), minlength=len(counts))
            return (total.astype(np.int64) if flat.dtype.kind in "biu" else total), None, False
        count = np.bincount(jets, flat.astype(bool), minlength=len(counts))
        return (count == counts if name == "all" else count > 0), None, False


def split_expressions(texts: Sequence[str] | str | None) -> list[str]:
    """Split ``mass, where(a > 0, b, c)`` at the commas that stand outside brackets.

    A sequence of such texts gives the parts of all of them. Raises `InputError` if a part is
    empty or no expression, or stands there twice.
    """
    parts: list[str] = []
    for text in [texts] if isinstance(texts, str) else texts or ():
        depth, begin = 0, 0
        for i, letter in enumerate(f"{text},"):
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
