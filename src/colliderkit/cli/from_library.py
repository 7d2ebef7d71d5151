"""Make events of a library of showers: what `generate` does with names of `FROM_LIBRARY`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

__all__ = ["FROM_LIBRARY"]


def overlap(
    process: Literal["overlapping-showers"],
    count: int,
    *,
    out: Path,
    library: Path,
    mean: float = 6.0,
    side: float = 240.0,
    arrival: float | None = None,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Draw events of overlapping showers from a library, with the true share of each cell.

    Args:
        process: overlapping-showers.
        count: events.
        out: the .parquet file, hits with their truth.
        library: the .hdf5 file of ``generate CALORIMETER COUNT --layout library``.
        mean: showers of an event, Poisson distributed, one at least.
        side: of the square in mm that they enter in.
        arrival: the spread of their times in ps, which cells measure to 30 ps; without, no times.
        seed: fixes every event.
        force: overwrite `out`.

    Examples:
        colliderkit generate overlapping-showers 1000 --library library.hdf5 --out events.parquet
    """
    from colliderkit.sources.datasets.overlapping_showers import overlapping_showers
    from colliderkit.sources.files.calorimeter_hits import write_hits
    from colliderkit.sources.files.shower_libraries import read_library

    hits = overlapping_showers(
        read_library(library), count, mean=mean, side=side, arrival=arrival, seed=seed
    )
    print(f"generated: {write_hits(out, hits, force=force)}")


def pair(
    process: Literal["pion-pairs"],
    count: int,
    *,
    out: Path,
    library: Path,
    reach: float = 120.0,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Draw pairs of a charged and a neutral pion from a library, with the track of the first.

    Args:
        process: pion-pairs.
        count: pairs.
        out: the .parquet file, hits with their truth and track_x, track_y and track_p.
        library: the .hdf5 file of ``generate ecal-hcal COUNT --layout library --particle pi+,pi0``.
        reach: how far from the first the second enters at most, in x and in y, in mm.
        seed: fixes every pair.
        force: overwrite `out`.

    Examples:
        colliderkit generate pion-pairs 1000 --library pions.hdf5 --out pairs.parquet
    """
    from colliderkit.sources import write
    from colliderkit.sources.datasets.pion_pairs import pion_pairs
    from colliderkit.sources.files.calorimeter_hits import hit_columns, track_columns
    from colliderkit.sources.files.shower_libraries import read_library

    pairs = pion_pairs(read_library(library), count, reach=reach, seed=seed)
    write(out, {**hit_columns(pairs.hits), **track_columns(pairs.track)}, force=force)
    print(f"generated: {out}")


def draw_objects(
    process: Literal["calorimeter-objects"],
    count: int,
    *,
    out: Path,
    library: Path,
    reach: float = 120.0,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Draw electrons, photons, pions and pairs of them from a library, with track and mass.

    Args:
        process: calorimeter-objects.
        count: events.
        out: the .parquet file, hits with their truth, track_x, track_y, track_p and mass.
        library: the .hdf5 file of ``generate ecal-hcal COUNT --layout library --particle
            gamma,e-,pi+,pi0``.
        reach: how far from the first a second enters at most, in x and in y, in mm.
        seed: fixes every event.
        force: overwrite `out`.

    Examples:
        colliderkit generate calorimeter-objects 1000 --library library.hdf5 --out objects.parquet
    """
    from colliderkit.sources import write
    from colliderkit.sources.datasets.calorimeter_objects import calorimeter_objects
    from colliderkit.sources.files.calorimeter_hits import hit_columns, track_columns
    from colliderkit.sources.files.shower_libraries import read_library

    events = calorimeter_objects(read_library(library), count, reach=reach, seed=seed)
    columns = {**hit_columns(events.hits), **track_columns(events.track), "mass": events.mass}
    write(out, columns, force=force)
    print(f"generated: {out}")


def flow(
    process: Literal["particle-flow"],
    count: int,
    *,
    out: Path,
    library: Path,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Throw Pythia's jets of 20 to 120 GeV into a library: tracks, clusters and what is whose.

    Args:
        process: particle-flow.
        count: events.
        out: the .parquet file, tracks, clusters and towers with their truth.
        library: the .hdf5 file of ``generate ecal-hcal COUNT --layout library --particle
            gamma,e-,pi+,kaon0L,neutron,mu-``.
        seed: fixes every event.
        force: overwrite `out`.

    Examples:
        colliderkit generate particle-flow 1000 --library library.hdf5 --out events.parquet
    """
    from colliderkit.files import refuse_existing
    from colliderkit.sources.datasets.particle_flow import flow_events
    from colliderkit.sources.files.particle_flow import write_flow
    from colliderkit.sources.files.shower_libraries import read_library

    refuse_existing(out, force)
    events = flow_events(read_library(library), count, seed=seed)
    print(f"generated: {write_flow(out, events, force=force)}")


FROM_LIBRARY: dict[str, Callable[..., None]] = {
    "overlapping-showers": overlap,
    "pion-pairs": pair,
    "calorimeter-objects": draw_objects,
    "particle-flow": flow,
}
