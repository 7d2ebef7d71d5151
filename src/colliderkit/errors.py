"""The error that a user can cause and mend."""

__all__ = ["InputError", "Interrupted"]


class InputError(ValueError):
    """Error that a user can mend: one sentence with what is wrong with an input and the way out.

    The sentence names the file, column, event or option. The command line prints it alone and
    exits with code 2; in Python it is an ordinary `ValueError`.
    """


class Interrupted(Exception):
    """The user stopped a long run; the sentence says what is kept of it and how to go on."""
