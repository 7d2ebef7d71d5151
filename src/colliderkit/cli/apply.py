"""Write a method's scores beside the events' own columns."""

from collections.abc import Sequence

from colliderkit.cli.fitted import call
from colliderkit.files import alone, refuse_existing

__all__ = ["main"]


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "apply")
    with alone(verb.output.out):
        refuse_existing(verb.output.out, verb.output.force)
        verb.function()
    print(f"written: {verb.output.out}")
