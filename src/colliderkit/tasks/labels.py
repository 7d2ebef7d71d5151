"""Labels: the class of each event, from a column of values, from one column a class, or by file."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.formats import paths_of

__all__ = ["ClassColumns", "Labels", "named_classes", "refuse_shared"]

Texts = list[str] | str | None
Files = list[str] | str


@dataclass(frozen=True)
class Labels:
    """Say which class an event is of, by expressions over the columns of its file.

    - `classes`: their names, in the order of the label;
    - `columns`: one expression, whose value is one of `values`, or one for each class (one-hot),
      of which exactly one is 1;
    - `values`: what the one column is in events of each class; None for one-hot columns.
    """

    classes: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[int, ...] | None

    @classmethod
    def of(cls, label: Texts, classes: Texts, known: Sequence[str]) -> "Labels":
        """Read the options: ``truth`` with ``light=0,c=4,b=5``, or ``is_qcd,is_top``.

        Without `classes` one column has the values 0, 1, ... of the classes `known`, and columns
        of one class each are named by themselves, or by `known` where that has other names.
        """
        columns = tuple(split_expressions(label)) or ("label",)
        names, values = named_classes(classes)
        if len(columns) == 1:
            names = names or tuple(known)
            return cls(names, columns, values or tuple(range(len(names))))
        if values is not None:
            raise InputError(
                f"classes gives values ({', '.join(map(str, values))}), and label has a column for"
                " each class; give names alone."
            )
        if not names:
            other = len(known) == len(columns) and set(known) != {"background", "signal"}
            names = tuple(known) if other and set(known) != set(columns) else columns
        if len(names) != len(columns):
            raise InputError(
                f"label has {len(columns)} columns and classes {len(names)} names"
                f" ({', '.join(names)}); give a name for each column."
            )
        return cls(names, columns, None)

    def numbers(
        self, columns: Sequence[NDArray[np.generic]], files: Files, event: NDArray[np.generic]
    ) -> NDArray[np.int64]:
        """Return the class (N,) of events, given the values (N,) of each of `columns`.

        Raises `InputError` naming the first event that is of no class, or of several.
        """
        label = np.full(len(event), -1, dtype=np.int64)
        if self.values is not None:
            for k, value in enumerate(self.values):
                label[columns[0] == value] = k
            wrong = label < 0
            if wrong.any():
                i = int(np.argmax(wrong))
                pairs = zip(self.classes, self.values, strict=True)
                have = ",".join(f"{name}={value}" for name, value in pairs)
                found = f"{float(columns[0][i]):.15g}"
                text = self.columns[0]
                raise InputError(
                    f"{files}: '{text}' is {found} in the event of number {event[i]}, which is none"
                    f" of the classes {have}; name all values in classes (as classes {have}), or"
                    f" drop these events with a selection (as '{text} != {found}')."
                )
            return label
        table = np.stack([np.asarray(column) for column in columns], axis=1)
        wrong = ((table != 0) & (table != 1)).any(axis=1) | (table.sum(axis=1) != 1)
        if wrong.any():
            i = int(np.argmax(wrong))
            what = ", ".join(
                f"{name} {x:g}" for name, x in zip(self.columns, table[i], strict=True)
            )
            total = " + ".join(self.columns)
            many = "no single class" if table[i].any() else "no class"
            raise InputError(
                f"{files}: the event of number {event[i]} is of {many} ({what}); give a column for"
                f" each class, or drop these events with a selection (as '{total} == 1')."
            )
        return np.asarray(table.argmax(axis=1), dtype=np.int64)


def named_classes(classes: Texts) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Return names and values of ``light=0,c=4,b=5`` (or of names alone, whose values are None)."""
    texts = [classes] if isinstance(classes, str) else list(classes or ())
    parts = [part.strip() for text in texts for part in text.split(",")]
    names = tuple(part.split("=")[0].strip() for part in parts)
    if any(not name for name in names) or len(set(names)) < len(names):
        raise InputError(f"classes is '{','.join(parts)}'; give names, each once and none empty.")
    if len(names) == 1:
        raise InputError(f"classes is '{parts[0]}'; a tagger needs two classes or more.")
    if not any("=" in part for part in parts):
        return names, None
    try:
        values = tuple(int(part.split("=")[1]) for part in parts)
    except (IndexError, ValueError):
        raise InputError(
            f"classes is '{','.join(parts)}'; give a whole number for each class, as light=0,b=5."
        ) from None
    if len(set(values)) < len(values):
        raise InputError(f"classes is '{','.join(parts)}'; give each value to one class.")
    return names, values


def refuse_shared(files: Mapping[str, Files]) -> None:
    """Raise `InputError` if a file is given for two classes: each event would be of both."""
    owner: dict[Path, str] = {}
    for name, paths in files.items():
        for path in paths_of(paths):
            other = owner.setdefault(path.resolve(), name)
            if other != name:
                raise InputError(
                    f"{path}: is given for the classes {other} and {name}, so that each of its"
                    " events would be of both; if it holds both, give it as files and name the"
                    " column of the class with label."
                )


class ClassColumns:
    """Compare what the files of several classes hold beside their names: labels and weights.

    A label in files that are given by class must agree with them, and weights of one class alone
    would leave the others at 1: `add` raises `InputError` for both, with the ways out. `finish`
    does where two classes are of the same events, as when one file is the copy of another.
    """

    def __init__(self) -> None:
        self._content: dict[str, hashlib.blake2b] = {}
        self._labels: dict[str, set[int]] = {}
        self._weighted: dict[str, bool] = {}

    def add(
        self,
        name: str,
        files: Files,
        label: NDArray[np.int64] | None,
        weighted: bool,
        content: Iterable[NDArray[np.generic]] = (),
    ) -> None:
        """Take what some events of the class `name` hold, in the order of the classes.

        By `content`, columns of theirs, they are known again.
        """
        seen = self._content.setdefault(name, hashlib.blake2b(digest_size=16))
        for column in content:
            seen.update(np.ascontiguousarray(column).view(np.uint8).data)
        other = next((n for n, w in self._weighted.items() if w != weighted), None)
        if other is not None:
            have, none = (name, other) if weighted else (other, name)
            raise InputError(
                f"{files}: events of class {have} have a column 'weight' and those of {none} have"
                f" none; name the weights of both with weight (as '{{{have}: weight, {none}: 1}}'),"
                " or count all events once (weight 1)."
            )
        self._weighted[name] = weighted
        if label is None:
            return
        found = self._labels.setdefault(name, set())
        found |= set(np.unique(label).tolist())
        for other, values in self._labels.items():
            if other != name and values & found:
                shared = ", ".join(map(str, sorted(values & found)))
                raise InputError(self._both(files, name, f"{other} too holds label {shared}"))
        first = next(iter(self._labels))
        if set().union(*self._labels.values()) == {0, 1} and 1 in self._labels[first]:
            raise InputError(self._both(files, name, "label 1 would be the first class"))

    def finish(self, files: Files) -> None:
        """Check classes of the same events, and those of which only some have labels."""
        *others, name = self._content
        for other in others:
            if self._content[other].digest() == self._content[name].digest():
                raise InputError(
                    f"{files}: holds the same events for class {name} as are given for {other}, so"
                    " that nothing can tell the two apart; give the files of each class."
                )
        if len(self._labels) == len(self._weighted):
            return
        for name, values in self._labels.items():
            if len(values) > 1:
                raise InputError(self._both(files, name, "other classes have no labels"))

    def _both(self, files: Files, name: str, why: str) -> str:
        values = ", ".join(map(str, sorted(self._labels[name])))
        return (
            f"{files}: given as class {name}, holds a column 'label' of {values} ({why}); give all"
            " as files with label, or keep the events of one class in each file."
        )


def summary(
    names: Sequence[str],
    label: NDArray[np.int64],
    weight: NDArray[np.float64] | None,
    particles: int | None,
) -> str:
    """Say in a line what was read: events of each class, particles an event, weights."""
    counts = np.bincount(label, minlength=len(names))
    parts = [", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))]
    if particles is not None:
        parts.append(f"{particles / max(len(label), 1):.1f} particles an event")
    if weight is None:
        parts.append("each counts one")
    else:
        sums = np.bincount(label, weight, minlength=len(names))
        parts.append("sums of weights " + ", ".join(f"{s:.6g}" for s in sums))
    return f"read {len(label)} events: " + "; ".join(parts)
