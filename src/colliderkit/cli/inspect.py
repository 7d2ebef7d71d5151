"""See what is in event files, and with which command to go on."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from colliderkit.cli.parsing import leading, run
from colliderkit.sources.files.formats import paths_of
from colliderkit.sources.files.inspection import Inspection, inspect_file

__all__ = ["inspect", "main"]

FILES_SEEN = 50
FOUR = ("px", "py", "pz", "E")
# Two jets as searches for a resonance have them: the columns, and the features made of them.
RESONANT = "mjj"
PAIR = {
    frozenset(("mj_min", "dm", "tau21_1", "tau21_2")): ("mj_min", "dm", "tau21_1", "tau21_2"),
    frozenset(("mj1", "mj2", "tau21_1", "tau21_2")): ("mj1", "mj2-mj1", "tau21_1", "tau21_2"),
}


def inspect(
    files: list[str] | str,
    *,
    tree: str | None = None,
    layout: str | None = None,
    most: int = 40,
) -> None:
    """See what the package sees in files: tables, columns, layout, units, labels, a first event.

    Args:
        files: ROOT, HDF5, Parquet, numpy or csv files, globs, or lists of files; the first is
            shown, and of the others in what they differ from it.
        tree: the ROOT tree, HDF5 keys or npz arrays to look into.
        layout: the published layout to read them by; found from their columns if not given.
        most: columns that are listed.

    Examples:
        colliderkit inspect jets.root
        colliderkit inspect 'run*/jets.root' --tree Events
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=140)
    paths = paths_of(files)
    first = inspect_file(paths[0], tree=tree, layout=layout)
    show(console, first, most)
    for path in paths[1:FILES_SEEN]:
        console.print(difference(first, inspect_file(path, tree=tree, layout=layout)), markup=False)
    if len(paths) > FILES_SEEN:
        console.print(f"and {len(paths) - FILES_SEEN} more files, which were not looked at")
    console.print("\nnext:", style="bold")
    named = files if isinstance(files, str) else " ".join(map(shlex.quote, files))
    for command in commands(first, named, tree):
        console.print(f"  {command}", markup=False)


def show(console: Any, seen: Inspection, most: int) -> None:
    """Print what was seen in a file."""
    from rich.table import Table

    def say(text: str) -> None:
        console.print(text, markup=False)

    console.print(str(seen.path), style="bold", markup=False)
    say(f"{seen.form}, {seen.size:,} bytes")
    for name, text in seen.tables.items():
        say(f"  {name}: {text}")
    if not seen.columns:
        say(f"no table is chosen: {seen.undecided}")
        return
    layout = f"layout {seen.layout}" if seen.layout else "no known layout of jets"
    say(f"{seen.rows:,} rows, {len(seen.columns)} columns, {layout}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("column", "type", "one a", "unit", "first event"):
        table.add_column(title, overflow="fold")
    for name, kind in list(seen.columns.items())[:most]:
        level = {0: "row", 1: "particle"}.get(kind.level if kind.level is not None else -1, "-")
        value = shown(seen.first.get(name, ""))
        table.add_row(*map(escaped, (name, kind.type, level, seen.units.get(name, ""), value)))
    console.print(table)
    if len(seen.columns) > most:
        say(f"and {len(seen.columns) - most} more columns")
    for role, names in seen.roles.items():
        say(f"{role}: {', '.join(names[:12])}")
    if seen.jets:
        jets = seen.jets
        say(
            f"of the first {jets['events']} events: {jets['particles']:.4g} particles each,"
            f" {jets['empty']} without any; jet_pt from {jets['pt'][0]:.4g} to"
            f" {jets['pt'][1]:.4g} GeV"
        )
        say(
            f"read as: {', '.join(jets['columns'])}; of particles {', '.join(FOUR)} and"
            f" {', '.join(n for n in jets['particle columns'] if n not in FOUR) or 'no more'}"
        )
        if "labels" in jets:
            each = ", ".join(f"{value}: {count}" for value, count in jets["labels"].items())
            say(f"labels: {each}")
    for text in [*seen.said, *([seen.undecided] if seen.undecided else [])]:
        say(f"note: {text}")


def difference(first: Inspection, other: Inspection) -> str:
    """Say in what a file differs from the first."""
    parts = [f"{other.rows:,} rows"]
    if other.layout != first.layout:
        parts.append(f"layout {other.layout or 'unknown'}")
    lacks = [name for name in first.columns if name not in other.columns]
    more = [name for name in other.columns if name not in first.columns]
    types = [
        name
        for name, kind in other.columns.items()
        if name in first.columns
        and kind.type != first.columns[name].type
        and not kind.type.endswith(" columns")
    ]
    for what, names in (("lacks", lacks), ("also has", more), ("other types of", types)):
        if names:
            parts.append(f"{what} {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}")
    return f"{other.path}: {'; '.join(parts)}"


def commands(seen: Inspection, files: str, tree: str | None) -> list[str]:
    """Return the commands to go on with, by what is in a file."""
    option = f" --tree {shlex.quote(tree)}" if tree else ""
    if seen.kind == "showers":
        return [f"colliderkit fit showers --files {files} --geometry GEOMETRY --out surrogate"]
    if not seen.columns:
        names = [name.partition(";")[0] for name in seen.tables]
        return [f"colliderkit inspect {files} --tree {shlex.quote(names[0])}"] if names else []
    if seen.kind == "pairs":
        return [f"colliderkit fit unfolding --data DATA --simulation {files} --out unfolding"]
    labels = list(seen.roles.get("label", ()))
    whole = option
    if labels and (numbers := seen.roles.get("event")) and numbers[0].isidentifier():
        # A fifth of the events is left for the evaluation.
        option += f" --selection {shlex.quote(f'{numbers[0]} % 5 != 0')}"
    if seen.kind == "jets":
        values = [value for value in seen.jets.get("labels", ()) if value >= 0]
        if len(values) > 1:
            classes = ""
            if values != [0, 1]:
                classes = " --classes " + ",".join(f"class{value}={value}" for value in values)
            return [f"colliderkit fit tagging --files {files}{classes}{option} --out tagger"]
        if labels and "labels" not in seen.jets:
            label = labels[0] if len(labels) == 1 else ",".join(labels)
            return [f"colliderkit fit tagging --files {files} --label {label}{option} --out tagger"]
        return [
            f"colliderkit fit tagging --signal {files} --background OTHER{option} --out tagger",
            f"colliderkit fit ratio --network pfn --numerator {files} --denominator OTHER{option}"
            " --out ratio",
        ]
    numbers = [name for name, kind in seen.columns.items() if kind.level == 0]
    features = [n for n in numbers if not any(n in names for names in seen.roles.values())][:10]
    if seen.kind == "particles" or not features:
        given = ", ".join(f"constituents.{name}: EXPRESSION" for name in FOUR)
        columns = shlex.quote("{" + given + "}")
        return [
            f"colliderkit fit tagging --signal {files} --background OTHER{option} --columns"
            f" {columns} --out tagger"
        ]
    if RESONANT in numbers and (found := next((x for x in PAIR if x <= set(numbers)), None)):
        listed = shlex.quote(",".join(PAIR[found]))
        return [
            f"colliderkit fit anomaly --data {files} --resonant {RESONANT} --features {listed}"
            f" --signal-region 3300,3700{f' --label {labels[0]}' if labels else ''}{whole}"
            " --out search"
        ]
    listed = shlex.quote(",".join(features))
    if labels:
        return [
            f"colliderkit fit tagging --files {files} --label {labels[0]} --features {listed}"
            f" --network mlp{option} --out tagger"
        ]
    return [
        f"colliderkit fit ratio --numerator {files} --denominator OTHER --columns {listed}{option}"
        " --out ratio"
    ]


def shown(value: Any) -> str:
    """Write a value, or the values of the particles, in few digits."""
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def escaped(text: str) -> str:
    """Write a text so that rich takes no part of it for a style."""
    from rich.markup import escape

    return escape(text)


def main(argv: Sequence[str]) -> None:
    """Parse and run: the words before the first option are the files."""
    words = leading(argv)
    named = ["--files", json.dumps(words)] if words else []
    run(inspect, [*named, *argv[len(words) :]], "colliderkit inspect")
