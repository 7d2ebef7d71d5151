"""CPU time of a shower in Geant4, to be compared with what is to take its place."""

import time

from colliderkit.errors import InputError
from colliderkit.seeds import derive
from colliderkit.sources.geant4.calorimeters import Calorimeter
from colliderkit.sources.geant4.simulation import Beam, simulate
from colliderkit.sources.shards import executor

__all__ = ["seconds_a_shower"]


def seconds_a_shower(
    calorimeter: Calorimeter, energy: float, count: int, *, beam: Beam | None = None, seed: int = 3
) -> float:
    """Return the CPU seconds of one shower of `energy` [MeV], the mean of `count` in one run.

    Setting Geant4 up is left out. It runs in a process of its own, for it can be set up once in
    a process. Raises `InputError` unless there is a shower to time.
    """
    if count < 1 or not energy > 0:
        raise InputError(f"{count} showers of {energy:g} MeV take no time; give at least one.")
    with executor(1, None, here=False) as pool:
        assert pool is not None
        return pool.submit(_seconds, calorimeter, energy, count, beam or Beam(), seed).result()


def _seconds(calorimeter: Calorimeter, energy: float, count: int, beam: Beam, seed: int) -> float:
    simulate(calorimeter, [energy / 10], beam=beam, seed=derive(seed, "setting up"))
    begin = time.process_time()
    simulate(calorimeter, [energy] * count, beam=beam, seed=derive(seed, "timed"))
    return (time.process_time() - begin) / count
