"""What a run has read, and what was supposed or warned of: said, kept in its folder, shown."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.schema import CONSTITUENTS
from colliderkit.report.html import Report

__all__ = ["ACCOUNT", "Account", "account", "add_account", "kept", "of_columns", "of_jets"]

ACCOUNT = "account.json"
MOST = 12  # columns of a line
LAST: ContextVar["Account | None"] = ContextVar("account", default=None)


@dataclass
class Account:
    """Hold lines of what was `read`, and the warnings that were `said`, each once."""

    read: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write account.json, from which `add_account` draws."""
        (folder / ACCOUNT).write_text(json.dumps(vars(self), indent=1, ensure_ascii=False))


@contextmanager
def kept() -> Iterator[Account]:
    """Keep what is read and warned of while this lasts."""
    kept = Account()
    token, show = LAST.set(kept), warnings.showwarning

    def keep(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, UserWarning) and str(message) not in kept.said:
            kept.said.append(str(message))
        show(message, category, *place, **more)

    warnings.showwarning = keep
    try:
        yield kept
    finally:
        warnings.showwarning = show
        LAST.reset(token)


def account(line: str) -> None:
    """Say a line of what was read, and keep it, while anything is kept; once in a training."""
    current = LAST.get()
    if current is not None and line not in current.read:
        current.read.append(line)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(line, flush=True)


def of_columns(
    files: Sequence[str] | str, columns: Mapping[str, NDArray[Any]], selection: str | None = None
) -> str:
    """Say in a line what was read of a table: events, and the range and mean of each column."""
    parts = [f"read {_named(files)}{_chosen(selection)}: {_length(columns)} events"]
    for name, values in list(columns.items())[:MOST]:
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        lacking = len(values) - len(finite)
        if not len(finite):
            parts.append(f"{name} nowhere a number")
            continue
        mean = f"{finite.min():.4g} to {finite.max():.4g} (mean {finite.mean():.4g})"
        parts.append(f"{name} {mean}{f', {lacking} times none' if lacking else ''}")
    if len(columns) > MOST:
        parts.append(f"and {len(columns) - MOST} more columns")
    return "; ".join(parts)


def of_jets(files: Sequence[str] | str, jets: ak.Array, selection: str | None = None) -> str:
    """Say in a line what was read of jets: how many, particles, pt, weights, labels."""
    counts = ak.to_numpy(ak.num(jets[CONSTITUENTS], axis=1))
    parts = [f"read {_named(files)}{_chosen(selection)}: {len(jets)} events"]
    empty = int((counts == 0).sum())
    none = f" ({empty} without any)" if empty else ""
    parts.append(f"{counts.mean():.1f} particles an event{none}")
    if "jet_pt" in jets.fields:
        pt = np.asarray(jets["jet_pt"])
        parts.append(f"jet_pt {pt.min():.4g} to {pt.max():.4g} GeV")
    if "weight" in jets.fields:
        parts.append(f"sum of weights {np.asarray(jets['weight']).sum():.6g}")
    else:
        parts.append("each counts one")
    if "label" in jets.fields:
        values, numbers = np.unique(np.asarray(jets["label"]), return_counts=True)
        each = [f"{v}: {n}" for v, n in zip(values.tolist()[:MOST], numbers, strict=False)]
        parts.append("labels " + ", ".join(each))
    return "; ".join(parts)


def add_account(page: Report, model: Path | None, note: Mapping[str, Any]) -> None:
    """Show what was read and said in a fit, from its folder, and in an evaluation, by its note."""
    lines: list[list[str]] = []
    path = None if model is None else model / ACCOUNT
    fit = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else {}
    for what, kept in (("fit", fit), ("evaluation", note.get("account") or {})):
        lines += [[what, line.removeprefix("read ")] for line in kept.get("read", ())]
        lines += [[f"{what}, said", line] for line in kept.get("said", ())]
    if lines:
        page.add_heading("What was read")
        page.add_table(["", ""], lines)


def _length(columns: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(columns.values()))) if columns else 0


def _named(files: Sequence[str] | str) -> str:
    names = [str(files)] if isinstance(files, str | Path) else [str(name) for name in files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _chosen(selection: str | None) -> str:
    return "" if selection is None else f" (of which {selection})"
