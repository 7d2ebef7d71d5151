"""Download a public data set by name."""

from collections.abc import Sequence
from pathlib import Path

from colliderkit.cli.parsing import run
from colliderkit.sources.datasets import catalogue as benchmarks

__all__ = ["fetch", "main"]


def fetch(name: str, *, out: Path, files: list[str] | None = None) -> None:
    """Download a public data set and check it.

    Args:
        name: the data set.
        out: the folder to write to; files that are complete there are kept.
        files: those to take; None takes all.

    Examples:
        colliderkit fetch top-tagging --out data
        colliderkit fetch --list
    """
    for path in benchmarks.fetch(name, out, files=files):
        print(path)


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    if argv and argv[0] == "--list":
        for name, data in benchmarks.BENCHMARKS.items():
            print(f"{name:<22} {data.title} ({data.paper})")
        return
    run(fetch, argv, "colliderkit fetch", positional=["name"])
