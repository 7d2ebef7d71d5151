"""Make collider events."""

from collections.abc import Sequence
from pathlib import Path

from colliderkit.cli import run
from colliderkit.sources.shards import generate as generate_sample

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
    force: bool = False,
) -> None:
    """Generate jets with Pythia 8 and FastJet and write them as Parquet.

    Args:
        process: a process, or a sample of several such as top-qcd.
        count: jets of each class.
        out: the .parquet file.
        seed: fixes every jet, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        detector: pass the particles through the fast detector.
        pileup: mean number of further collisions overlaid on each event.
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
        force=force,
    )
    print(f"generated: {path}")


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    run(generate, argv, "colliderkit generate", positional=["process", "count"])
