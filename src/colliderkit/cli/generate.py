"""Make collider events."""

from collections.abc import Callable, Sequence
from pathlib import Path

from colliderkit.cli.parsing import leading, option, run
from colliderkit.sources.geant4.calorimeters import CALORIMETERS
from colliderkit.sources.pythia.shards import generate as generate_sample

__all__ = ["generate", "main"]


def generate(
    process: str,
    count: int,
    *,
    out: Path,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    detector: bool = False,
    pileup: float = 0.0,
    settings: list[str] | str | None = None,
    parameters: dict[str, tuple[float, float]] | None = None,
    paired: bool = False,
    force: bool = False,
) -> None:
    """Generate jets with Pythia 8 and FastJet and write them as Parquet.

    In place of a process, a calorimeter: ``generate photons-368 --help``.

    Args:
        process: a process, or a sample of several such as top-qcd.
        count: jets of each class.
        out: the .parquet file.
        seed: fixes every jet, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        detector: pass the particles through the fast detector.
        pileup: mean number of further collisions overlaid on each event.
        settings: Pythia's lines, with semicolons between them, such as
            "TimeShower:alphaSvalue = 0.16; StringZ:aLund = 0.9".
        parameters: ranges in which alphaS, aLund and probStoUD are drawn anew every 250 jets,
            such as "{alphaS: [0.10, 0.18]}".
        paired: write each event's particles and what the detector makes of them, for unfolding.
        force: overwrite `out`.
    """
    path = generate_sample(
        process,
        count,
        out,
        seed=seed,
        workers=workers,
        dask=dask,
        detector=detector,
        pileup=pileup,
        settings=settings or (),
        parameters=parameters,
        paired=paired,
        force=force,
    )
    print(f"generated: {path}")


def main(argv: Sequence[str]) -> None:
    """Parse and run; a calorimeter in place of a process has the options of showers."""
    function: Callable[..., None] = generate
    words = leading(argv)
    process = words[0] if words else option(argv, "process")
    if process in CALORIMETERS:
        from colliderkit.cli.showers import parametrise, shoot

        function = parametrise if option(argv[len(words) :], "simulation") == "gflash" else shoot
    run(function, argv, "colliderkit generate", positional=["process", "count"])
