"""How the verbs read event files: the options that they share."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read
from colliderkit.sources.files.rows import Rows, read_rows
from colliderkit.tasks.account import account, of_columns, of_jets
from colliderkit.tasks.labels import ClassColumns, Labels, refuse_shared

__all__ = ["OfSamples", "Reading", "beside", "free_name", "of_sample"]

# An expression for all samples, or one for some of them by their names.
OfSamples = dict[str, str | float] | str | None
CHUNK = 20_000  # jets held at a time
# Columns of a table of events that are no features, taken by these names where they are there.
OF_EVENTS = ("weight", "event", "label")


@dataclass(frozen=True)
class Reading:
    """Say how events are read from ROOT, HDF5 or Parquet files.

    Args:
        columns: expressions of the file's columns by canonical name, such as
            ``{constituents.px: part_px, label: label_Tbqq}``.
        selection: an expression that jets must fulfil.
        layout: the published layout of the files; found from their columns if not given.
        tree: the ROOT tree or HDF5 key.
    """

    columns: dict[str, str] | None = None
    selection: str | None = None
    layout: str | None = None
    tree: str | None = None

    def chunks(self, files: list[str] | str) -> Iterator[ak.Array]:
        """Yield the jets of `files` in pieces."""
        yield from iterate(files, chunk=CHUNK, **asdict(self))

    def rows(
        self,
        files: list[str] | str,
        expressions: Sequence[str],
        *,
        optional: Sequence[str] = (),
        own: bool = False,
        stop: int | None = None,
    ) -> Rows:
        """Return one number an event for each expression, of files that hold no jets."""
        if self.layout is not None:
            raise InputError(
                f"--layout {self.layout} is of jets, and a table is read from {files}; leave it"
                " out, or name a --network on particles."
            )
        rows = read_rows(
            files,
            expressions,
            optional=optional,
            selection=self.selection,
            tree=self.tree,
            own=own,
            stop=stop,
        )
        account(of_columns(files, rows.columns, self.selection))
        return rows

    def jets(self, files: list[str] | str) -> ak.Array:
        """Return all jets of `files`."""
        jets = ak.concatenate(list(self.chunks(files)))
        account(of_jets(files, jets, self.selection))
        return jets

    def head(self, files: list[str] | str, count: int) -> ak.Array:
        """Return the first `count` jets of `files`."""
        return read(files, **asdict(self), start=0, stop=count)

    def classes(
        self, files: dict[str, list[str] | str], weight: OfSamples = None
    ) -> Iterator[ak.Array]:
        """Yield the jets of several classes, labelled by their order in `files`.

        Raises `InputError` where a file is given twice, where its own labels or weights
        contradict that order, and for constituents of different columns.
        """
        refuse_shared(files)
        if "label" in (self.columns or {}):
            raise InputError(
                f"columns names a label, and the files of {', '.join(files)} are given by class;"
                " give all as files with label, or leave the label out."
            )
        first: tuple[list[str] | str, list[str]] | None = None
        seen = ClassColumns()
        for label, (name, paths) in enumerate(files.items()):
            reading = self.weighted(of_sample(weight, "weight", name, list(files)))
            for chunk in reading.chunks(paths):
                columns = sorted(chunk["constituents"].fields)
                if first is None:
                    first = (paths, columns)
                elif first[1] != columns:
                    differ = ", ".join(sorted(set(first[1]) ^ set(columns)))
                    raise InputError(
                        f"{first[0]} and {paths} differ in the constituent columns {differ};"
                        " name those to use with --columns."
                    )
                own = np.asarray(chunk["label"]) if "label" in chunk.fields else None
                content = np.asarray(chunk["jet_pt"]), ak.to_numpy(ak.num(chunk["constituents"]))
                seen.add(name, paths, own, "weight" in chunk.fields, content)
                yield of_class(chunk, label)
            seen.finish(paths)

    def labelled(
        self, files: list[str] | str, labels: Labels, weight: str | None = None
    ) -> Iterator[ak.Array]:
        """Yield jets of files that hold all classes, labelled by their columns."""
        named = labels.columns != ("label",)
        own = dict(self.columns or {})
        texts = labels.columns if named else ()
        # One column is the label itself, so that the reader's sentences name it so.
        names = ["label"] if len(labels.columns) == 1 else [f"label {text}" for text in texts]
        reading = replace(self, columns=own | dict(zip(names, texts, strict=False)) or None)
        for chunk in reading.weighted(weight).chunks(files):
            if "label" not in chunk.fields and len(names) == 1:
                raise InputError(
                    f"{files}: has no column 'label'; name the one of the class with label."
                )
            values = [np.asarray(chunk[name]) for name in names]
            label = labels.numbers(values, files, np.asarray(chunk["event"]))
            yield ak.with_field(without(chunk, names), label, "label")

    def weighted(self, weight: str | None) -> "Reading":
        """Return how to read events that are weighted by an expression, if one is given."""
        if weight is None:
            return self
        if "weight" in (self.columns or {}):
            raise InputError("weight is given, and columns names a weight too; leave one out.")
        return replace(self, columns={**(self.columns or {}), "weight": weight})

    def tables(
        self, files: dict[str, list[str] | str], features: Sequence[str], weight: OfSamples = None
    ) -> Iterator[ak.Array]:
        """Yield the events of several classes, as `classes` does, with `features` for jets."""
        refuse_shared(files)
        seen = ClassColumns()
        for label, (name, paths) in enumerate(files.items()):
            text = of_sample(weight, "weight", name, list(files))
            table, _ = self._table(paths, features, (), text)
            own = None
            if "label" in table.fields:
                own = np.asarray(table["label"]).astype(np.int64)
            content = [np.asarray(table[feature]) for feature in features]
            seen.add(name, paths, own, "weight" in table.fields, content)
            seen.finish(paths)
            yield of_class(table, label)

    def labelled_table(
        self,
        files: list[str] | str,
        features: Sequence[str],
        labels: Labels,
        weight: str | None = None,
    ) -> ak.Array:
        """Return the events of files that hold all classes, with `features` for jets."""
        if shared := [text for text in labels.columns if text in features]:
            raise InputError(f"features has '{shared[0]}', which is the label; leave it out.")
        table, values = self._table(files, features, labels.columns, weight)
        label = labels.numbers(values, files, np.asarray(table["event"]))
        return ak.with_field(table, label, "label")

    def _table(
        self,
        files: list[str] | str,
        features: Sequence[str],
        labels: Sequence[str],
        weight: str | None,
    ) -> tuple[ak.Array, list[NDArray[Any]]]:
        """Return features, weight and number of events, and the columns of their labels."""
        if self.columns is not None:
            raise InputError(
                "columns maps the columns of jets, and features are read as they are; write"
                " expressions into features, label and weight."
            )
        optional = [name for name in OF_EVENTS if name not in labels]
        needed = [*features, *labels, *([] if weight is None else [weight])]
        rows = self.rows(files, list(dict.fromkeys(needed)), optional=optional)
        columns = dict(zip(features, rows.table(features).T, strict=True))
        if labels:
            rows.table(labels)  # are finite
        if weight is not None:
            columns["weight"] = rows.table([weight])[:, 0]
        elif "weight" in rows.columns:
            columns["weight"] = rows.table(["weight"])[:, 0]
        known = "event" in rows.columns
        columns["event"] = rows.numbers("event") if known else np.arange(len(rows))
        if not labels and "label" in rows.columns:
            columns["label"] = rows.numbers("label")
        return ak.zip(columns), [rows.columns[text] for text in labels]


def of_class(events: ak.Array, label: int) -> ak.Array:
    """Return events with a label; row numbers of different classes are different events."""
    events = ak.with_field(events, np.full(len(events), label), "label")
    return ak.with_field(events, events["event"] + (label << 56), "event")


def without(events: ak.Array, names: Sequence[str]) -> ak.Array:
    """Return the events without some of their columns."""
    return events[[name for name in events.fields if name not in names]]


def beside(own: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of files with new ones beside them; none takes the place of another."""
    columns = dict(own)
    for name, values in added.items():
        columns[free_name(name, columns)] = values
    return columns


def free_name(name: str, own: Collection[str]) -> str:
    """Return the name of a new column; where the files have it, ``NAME_2`` and so on, said."""
    free = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 1000))) if n not in own)
    if free != name:
        warnings.warn(
            f"the files have a column '{name}', which stays; the new one is '{free}'",
            UserWarning,
            stacklevel=3,
        )
    return free


def of_sample(option: OfSamples, what: str, sample: str, samples: Sequence[str]) -> str | None:
    """Return the expression of one sample; raise `InputError` if another is named."""
    if not isinstance(option, dict):
        return option
    for name in option:
        if name not in samples:
            raise InputError(f"--{what} names the sample '{name}'; there are {', '.join(samples)}.")
    return str(option[sample]) if sample in option else None
