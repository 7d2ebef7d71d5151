"""The error that a user can cause and mend."""

__all__ = ["InputError", "Interrupted"]


class InputError(ValueError):
    """Say in one sentence what is wrong with an input and the way out.

    The sentence names the file, column, event or option. The command line prints it alone and
    exits with code 2; in Python it is an ordinary `ValueError`.
    """


class Interrupted(Exception):
    """Say that the user stopped a long run, what is kept of it and how to go on."""
