"""What the contract tests need to know of a method and of a task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

__all__ = ["Case", "TaskCase", "repeated", "with_nan"]

Arguments = tuple[Any, ...]
Keywords = dict[str, Any]
Data = tuple[Arguments, Keywords]


def rows_of(value: Any, rows: NDArray[np.int64]) -> Any:
    """Return the events `rows` of an array, a jet array, a tensor or a noun with `at`."""
    return value.at(rows) if hasattr(value, "at") else value[rows]


def repeated(args: Arguments, kwargs: Keywords, rows: NDArray[np.int64]) -> Data:
    """Return the data with the events `rows`; what has no row an event stays as it is."""
    count = len(args[0])

    def pick(value: Any) -> Any:
        whole = hasattr(value, "__len__") and hasattr(value, "__getitem__")
        return rows_of(value, rows) if whole and len(value) == count else value

    return tuple(pick(value) for value in args), {k: pick(v) for k, v in kwargs.items()}


def with_nan(args: Arguments) -> Arguments:
    """Return the arguments with a NaN in event 3 of the first: a float array or a jet array."""
    first = args[0]
    if isinstance(first, ak.Array):
        column = ak.to_numpy(first.jet_mass).astype(float)
        column[3] = np.nan
        return ak.with_field(first, column, "jet_mass"), *args[1:]
    values = np.array(first, dtype=float)
    values.reshape(len(values), -1)[3, 0] = np.nan
    return values, *args[1:]


@dataclass(frozen=True)
class Case:
    """A small fit of a method: well under a second, on data that the case draws itself.

    - `make()` returns the method, not fitted;
    - `data(seed)` returns `(args, kwargs)` of `fit`: the data, the method's own keywords, and
      nothing of the tail (weight, seed, folder, resume, progress);
    - `answer(method, args)` returns what a fitted method says of the data, as an array;
    - `exact_weight`: whether a weight of 2 is an event twice to `weight_tolerance` (closed forms,
      maps, binned methods; trees state theirs), or within the spread of seeds;
    - `nan(args)` returns the arguments with a NaN, which `fit` has to name;
    - `verbs`: further verbs, each called as `verb(method, args)`, which must say that nothing is
      fitted;
    - `repeat(args, kwargs, rows)` returns `fit`'s data with the events `rows` (N is the length of
      the first argument), and `weight(args, weights)` how the weights (N,) of these events are
      given; by default every argument of length N has a row an event, and the weights are given
      as they are. A method of two samples weights one of them: `lambda args, w: (w, None)`;
    - `refuses_weight`: for a method that refuses weights, words of its sentence that says why.
    """

    make: Callable[[], Any]
    data: Callable[[int], Data]
    answer: Callable[[Any, Arguments], NDArray[Any]]
    exact_weight: bool = False
    nan: Callable[[Arguments], Arguments] = with_nan
    weight_tolerance: float = 1e-6
    verbs: Mapping[str, Callable[[Any, Arguments], Any]] = field(default_factory=dict)
    repeat: Callable[[Arguments, Keywords, NDArray[np.int64]], Data] = repeated
    weight: Callable[[Arguments, NDArray[np.float64]], Any] = lambda args, weights: weights
    refuses_weight: str | None = None


Words = Sequence[str | Path]


@dataclass(frozen=True)
class TaskCase:
    """Small files for a task, and the words of the command line that follow each verb.

    - `write(folder)` writes the files that the verbs read; it is called once, with an empty folder;
    - `fit(folder)`: after ``colliderkit fit TASK``; `methods`: more words for a member of the
      task's methods, by its name (a small network), in which FOLDER stands for the folder.
      ``--out``, ``--seed`` and ``--method`` are the contract's;
    - `update`, `apply`, `evaluate`, `export`: after the verb and the folder of the fit (or, for a
      task that evaluates no fitted method, its name), without ``--out``; `page`: after the folders
      that ``colliderkit report`` takes. A verb that the task offers and that has no words fails;
    - `applied`, `exported`: what these write, a file or a folder;
    - `on`: the method whose fit is exported and drawn, the first of the task's if not given; all
      others are fitted, applied and evaluated.
    """

    write: Callable[[Path], None]
    fit: Callable[[Path], Words] | None = None
    methods: Mapping[str, Words] = field(default_factory=dict)
    update: Callable[[Path], Words] | None = None
    apply: Callable[[Path], Words] | None = None
    evaluate: Callable[[Path], Words] | None = None
    page: Callable[[Path], Words] = lambda folder: ()
    export: Callable[[Path], Words] | None = None
    applied: str = "applied.parquet"
    exported: str = "model.onnx"
    on: str | None = None
