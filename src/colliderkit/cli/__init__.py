"""The command line: one file a verb, generic over the tasks."""

import sys
import unicodedata
import warnings
from collections.abc import Sequence
from importlib import import_module

from colliderkit.errors import InputError, Interrupted
from colliderkit.memory import bounded, free

__all__ = ["VERBS", "main"]

# What libraries say that were refused memory.
FULL = (
    "can't allocate memory",
    "out of memory",
    "cannot allocate",
    "unable to allocate",
    "storage size",
    "array is too big",
    "maximum allowed dimension",
    "bad_alloc",
    "can't start new thread",
)
INTERRUPTED = 130  # 128 + SIGINT
CONTROL = ("Cc", "Zl", "Zp")  # of Unicode: what moves a cursor or ends a line
VERBS = {
    "inspect": "see what is in event files, and with which command to go on",
    "generate": "make collider events with Pythia 8, FastJet and a fast detector",
    "fit": "train a method on event files",
    "apply": "write a method's scores beside the events' own columns",
    "evaluate": "measure a method on events that it has not seen",
    "report": "draw a run or an evaluation as one HTML file",
    "export": "write a fitted method for others: ONNX, a pyhf workspace, HEPData",
    "serve": "answer clients of the KServe v2 protocol by exported models, over HTTP and gRPC",
    "fetch": "download a public data set by name",
    "study": "reproduce a published result from data to report",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    0 is done, 2 an error that the user can mend, and 130 Ctrl-C, as shells have it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Nothing heavy is imported before a verb is known: --help answers at once.
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        from colliderkit import __version__

        print(f"colliderkit {__version__}")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        _say(f"'{verb}' is no verb; choose from {', '.join(VERBS)}.")
        return 2
    for word in rest:
        if "\0" in word:
            _say(f"{word!r} holds a NUL character; leave it out.")
            return 2
    try:
        with warnings.catch_warnings(), bounded():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _as_sentence  # type: ignore[assignment]
            import_module(f"colliderkit.cli.{verb}").main(rest)
    except InputError as error:
        _say(str(error))
        return 2
    except (Interrupted, KeyboardInterrupt) as stop:
        _say(str(stop) or "interrupted; what was complete is kept.")
        return INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror or error}.")
        return 2
    except (MemoryError, OverflowError, RecursionError, RuntimeError, ValueError) as error:
        sentence = _too_much(error)
        if sentence is None:
            raise
        _say(sentence)
        return 2
    return 0


def _say(sentence: str) -> None:
    """Write a sentence as one line: control characters of a name are not for the terminal."""
    line = "".join(repr(c)[1:-1] if unicodedata.category(c) in CONTROL else c for c in sentence)
    print(f"colliderkit: {line}", file=sys.stderr)


def _too_much(error: Exception) -> str | None:
    """Return a sentence if an input was too large or too deep, however a library says that."""
    if isinstance(error, RecursionError):
        return "an input is nested too deeply; write it with fewer brackets."
    words = str(error).lower()
    large = isinstance(error, MemoryError | OverflowError)
    if large or any(word in words for word in FULL):
        room = free()
        known = "" if room is None else f" ({room / 1e9:.1f} GB are free)"
        return (
            f"there is not enough memory for that{known}; give fewer or smaller events, a smaller"
            " network, fewer members or bins, or smaller batches."
        )
    return None


def _as_sentence(message: Warning | str, category: type[Warning], *place: object) -> None:
    """Print what a method warns of; warnings of other kinds are for developers."""
    if issubclass(category, UserWarning):
        _say(f"warning: {message}.")


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: colliderkit VERB [options]",
            "",
            "Machine learning for particle physics, from events to physics results.",
            "",
            *lines,
            "",
            "colliderkit VERB --help lists the options of a verb.",
        ]
    )
