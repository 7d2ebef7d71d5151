"""Set anew what a fitted method takes from the newest data, its training as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colliderkit.cli.fitted import call
from colliderkit.files import alone, refuse_existing
from colliderkit.tasks.account import kept
from colliderkit.tasks.runs import write_update

__all__ = ["main"]


@dataclass(frozen=True)
class Updated:
    """Say where the method is written.

    Args:
        out: the folder.
        force: overwrite a method that is there.
    """

    out: Path
    force: bool = False


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "update", Updated)
    out, force = verb.output.out, verb.output.force
    with alone(out):
        refuse_existing(out, force)
        with kept() as account:
            method, said = verb.function()
        assert verb.model is not None
        write_update(out, verb.model, method, verb.configuration, force, account)
    print(f"{said}: {out}")
