"""Write a fitted method for others: as ONNX, a workspace or a submission to HEPData."""

from collections.abc import Sequence

from colliderkit.cli.fitted import call
from colliderkit.files import alone, refuse_existing

__all__ = ["main"]


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "export")
    with alone(verb.output.out):
        refuse_existing(verb.output.out, verb.output.force)
        checked = verb.function()
    print(f"exported: {verb.output.out} ({checked})")
