"""Pythia 8 set up: seeds, settings, and tune parameters drawn along a sample."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from colliderkit.errors import InputError
from colliderkit.seeds import derive
from colliderkit.sources.pythia.processes import Process, process_named

__all__ = ["PARAMETERS", "Tune", "generator_seed", "imported", "start"]

# What a sample can be drawn over, as in DCTR (arXiv:1907.08209): the strong coupling of the
# final-state shower, the a of Lund's fragmentation function, and strange over light quarks in
# string breaks. Pythia's own values are 0.1365, 0.68 and 0.217.
PARAMETERS: dict[str, str] = {
    "alphaS": "TimeShower:alphaSvalue",
    "aLund": "StringZ:aLund",
    "probStoUD": "StringFlav:probStoUD",
}
# Jets made with one draw of the parameters. Pythia takes 0.07 s to start again and 0.2 ms an
# e+e- jet: more draws cost speed, fewer leave gaps in the parameters' space.
BLOCK = 250
BLOCKS = 1 << 12  # seeds set apart for the blocks of a shard: a million jets

SETTING = re.compile(r"(\w+:\w+)\s*=\s*(\S.*)")
KINDS = ("Flag", "Mode", "Parm", "Word", "FVec", "MVec", "PVec", "WVec")
TRUTHS = ("on", "off", "true", "false", "yes", "no", "ok", "1", "0")


@dataclass(frozen=True)
class Tune:
    """Settings of Pythia that a sample has beyond those of its process.

    - `settings`: Pythia's lines, applied after the process's own;
    - `parameters`: (name, lowest, highest), drawn uniformly anew for every `BLOCK` jets.
    """

    settings: tuple[str, ...] = ()
    parameters: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def of(
        cls,
        settings: str | Sequence[str] = (),
        parameters: Mapping[str, Sequence[float]] | None = None,
    ) -> "Tune":
        """Return the tune of `settings` (a text of several has semicolons between) and ranges.

        Raises `InputError` for a line without a name and a value, a name that is none of
        `PARAMETERS`, or a range that is none. Whether Pythia knows the lines, `start` says.
        """
        lines = settings.split(";") if isinstance(settings, str) else settings
        lines = [line.strip() for line in lines if line.strip()]
        for line in lines:
            if SETTING.fullmatch(line) is None:
                raise InputError(f"setting '{line}' is not of the form 'Name:key = value'.")
            if line.lower().startswith("random:"):
                raise InputError(f"setting '{line}': random numbers follow the seed; give another.")
        ranges = []
        for name, pair in (parameters or {}).items():
            if name not in PARAMETERS:
                raise InputError(f"parameter '{name}' is none of {', '.join(PARAMETERS)}.")
            if len(pair) != 2 or not pair[0] < pair[1]:
                raise InputError(
                    f"parameter '{name}': {list(pair)} is no range; give the lowest and the"
                    " highest value."
                )
            if any(SETTING.sub(r"\1", x).lower() == PARAMETERS[name].lower() for x in lines):
                raise InputError(f"parameter '{name}' is also in the settings; give it once.")
            if name == "alphaS" and any(x.lower().startswith("partonshowers:") for x in lines):
                raise InputError("parameter 'alphaS' is of Pythia's own shower; drop that setting.")
            ranges.append((name, float(pair[0]), float(pair[1])))
        return cls(tuple(lines), tuple(ranges))

    def stream(self, process: str) -> str:
        """Name the stream of random numbers: another tune of a process makes other events."""
        return process if self == Tune() else f"{process} {self.settings} {self.parameters}"

    def drawn(self, process: str, seed: int, shard: int, block: int) -> dict[str, float]:
        """Draw the parameters of one block of a shard.

        They are rounded to what a column of float32 holds before Pythia gets them.
        """
        key = derive(seed, "parameters", self.stream(process), shard, block)
        uniform = np.random.default_rng(key).random(len(self.parameters))
        return {
            name: float(np.float32(low + (high - low) * x))
            for (name, low, high), x in zip(self.parameters, uniform, strict=True)
        }

    def check(self, process: str) -> None:
        """Start Pythia with this tune, at both ends of all ranges; raise `InputError` if it fails.

        The plain tune of a process is not checked: that takes 0.1 s for nothing.
        """
        if self == Tune():
            return
        lowest = {name: low for name, low, _ in self.parameters}
        highest = {name: high for name, _, high in self.parameters}
        for ends in (lowest, highest):
            start(process_named(process), 1, (*self.settings, *lines_of(ends)))


def lines_of(parameters: Mapping[str, float]) -> list[str]:
    """Return the settings that give the parameters their values."""
    return [f"{PARAMETERS[name]} = {value!r}" for name, value in parameters.items()]


def generator_seed(stream: str, seed: int, shard: int) -> int:
    """Give each shard of a stream a seed of its own, in Pythia's range 1 to 900,000,000."""
    # Counted on from one place, the seeds of two shards of a stream are never the same.
    return (derive(seed, "pythia", stream) + shard) % 900_000_000 + 1


def start(process: Process, seed: int, settings: Sequence[str] = (), generator: Any = None) -> Any:
    """Return Pythia, initialised; its process, seed and settings decide every event that follows.

    `generator` is started again in place of a new one: the same events, in two thirds of the
    time. Raises `InputError` for a setting that Pythia does not know or whose value it refuses,
    and where it does not start with the settings.
    """
    beams = (f"Beams:idA = {process.beams[0]}", f"Beams:idB = {process.beams[1]}")
    energy = f"Beams:eCM = {process.energy}"
    common = ("Print:quiet = on", *beams, energy, "Random:setSeed = on", f"Random:seed = {seed}")
    pythia = generator or imported("pythia8mc").Pythia("", False)

    def begin() -> None:
        for line in (*common, *process.settings, *settings):
            apply(pythia, line)
        if not pythia.init():
            reason = f"the settings {', '.join(settings)}" if settings else "these settings"
            raise InputError(f"Pythia does not start '{process.title}' with {reason}.")

    # What goes wrong is said once and here; Vincia greets with a page.
    quietly(begin)
    return pythia


def apply(pythia: Any, line: str) -> None:
    """Hand one line to Pythia, or raise `InputError` saying whether name or value is wrong."""
    parts = SETTING.fullmatch(line)
    assert parts is not None  # Tune.of has checked the form
    key, value = parts.groups()
    flag = pythia.settings.isFlag(key)
    # Pythia takes any other word for off.
    if (not flag or value.strip().lower() in TRUTHS) and pythia.readString(line, False):
        return
    known = any(getattr(pythia.settings, f"is{kind}")(key) for kind in KINDS)
    if known:
        raise InputError(f"setting '{line}': Pythia refuses the value; see the range of {key}.")
    raise InputError(f"setting '{line}': Pythia knows no '{key}'; look for the name in its manual.")


@cache
def imported(name: str) -> ModuleType:
    """Import Pythia or FastJet, or raise `InputError` saying how to install them."""
    try:
        module = __import__(name)
    except ImportError as error:
        raise InputError(
            f"generating events needs {name}; run: pip install 'colliderkit[generate]'."
        ) from error
    if name == "fastjet":
        quietly(lambda: first_clustering(module))
    return module


def first_clustering(fastjet: ModuleType) -> None:
    """Cluster one particle: FastJet prints its banner (cite arXiv:1111.6097) the first time."""
    import awkward as ak

    one = ak.Array([[{"px": 1.0, "py": 0.0, "pz": 0.0, "E": 1.0}]])
    fastjet.ClusterSequence(one, fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0))


def quietly(action: Callable[[], None]) -> None:
    """Run `action` with standard output closed to C++ as well."""
    sys.stdout.flush()
    stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        action()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)
