"""Make collider events."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from colliderkit.cli.parsing import leading, option, run
from colliderkit.sources.geant4.calorimeters import CALORIMETERS, calorimeter
from colliderkit.sources.pythia.processes import PROCESSES, SAMPLES
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

    In place of a process, a calorimeter: ``generate photons-368 --help``; with ``--layout library``
    a library of its showers, and overlapping-showers and pion-pairs make events of one.

    Args:
        process: a process, or a sample of several such as top-qcd.
        count: jets of each class; events of lhco-qcd and lhco-signal.
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

    Examples:
        colliderkit generate top-qcd 10000 --out jets.parquet --workers 2
        colliderkit generate --list
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


def shoot(
    process: str,
    count: int,
    *,
    out: Path,
    energies: tuple[float, float] = (1000.0, 64000.0),
    index: float = 1.0,
    particle: str = "gamma",
    x: float = 0.0,
    y: float = 0.0,
    angle: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    cut: float = 0.7,
    simulation: Literal["geant4"] = "geant4",
    force: bool = False,
) -> None:
    """Shoot particles into a calorimeter with Geant4 and write the showers as HDF5.

    Args:
        process: a calorimeter, such as photons-368.
        count: showers.
        out: the .hdf5 file, in the CaloChallenge's layout.
        energies: the lowest and the highest incident energy, in MeV.
        index: of the spectrum, dN/dE ~ E^-index; 1 is log-uniform.
        particle: what enters: gamma, e-, e+, pi+, pi-, pi0, kaon+, kaon-, kaon0L, proton,
            neutron, mu-, mu+ or another of Geant4's names.
        x: where it enters, in mm.
        y: where it enters, in mm.
        angle: to the axis, in radian, in the plane of x.
        seed: fixes every shower, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        cut: the range below which Geant4 makes no particles, in mm.
        simulation: geant4; gflash parametrises, with fewer options.
        force: overwrite `out`, and shards of another request.

    Examples:
        colliderkit generate photons-368 1000 --out showers.hdf5 --energies 1000,64000
        colliderkit generate ecal-hcal 1000 --out pions.hdf5 --particle pi+ --energies 2000,20000
    """
    from colliderkit.sources.geant4.shards import generate_showers
    from colliderkit.sources.geant4.simulation import Beam

    path = generate_showers(
        process,
        count,
        out,
        energies=energies,
        index=index,
        beam=Beam(particle, x, y, angle),
        seed=seed,
        cut=cut,
        workers=workers,
        dask=dask,
        force=force,
    )
    print(f"generated: {path}")


def parametrise(
    process: str,
    count: int,
    *,
    out: Path,
    energies: tuple[float, float] = (1000.0, 64000.0),
    index: float = 1.0,
    seed: int = 0,
    simulation: Literal["gflash"] = "gflash",
    force: bool = False,
) -> None:
    """Draw electromagnetic showers by the parametrisation of Grindhammer and Peters.

    Args:
        process: a calorimeter, such as photons-368.
        count: showers.
        out: the .hdf5 file, in the CaloChallenge's layout.
        energies: the lowest and the highest incident energy, in MeV.
        index: of the spectrum, dN/dE ~ E^-index; 1 is log-uniform.
        seed: fixes every shower.
        simulation: gflash.
        force: overwrite `out`.

    Examples:
        colliderkit generate photons-368 100000 --simulation gflash --out showers.hdf5
    """
    from colliderkit.sources.geant4.gflash import generate_showers

    path = generate_showers(
        process, count, out, energies=energies, index=index, seed=seed, force=force
    )
    print(f"generated: {path}")


def collect(
    process: str,
    count: int,
    *,
    out: Path,
    particle: list[str] | str = "gamma,e-,pi+",
    energies: tuple[float, float] = (1000.0, 20000.0),
    index: float = 1.0,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    cut: float = 0.7,
    layout: Literal["library"] = "library",
    force: bool = False,
) -> None:
    """Shoot particles into a calorimeter of cells and keep a library of their showers.

    Args:
        process: a calorimeter of cells, such as silicon-tungsten or ecal-hcal.
        count: showers of each particle.
        out: the .hdf5 file of the library.
        particle: what enters, one or several with commas between them.
        energies: the lowest and the highest kinetic energy, in MeV.
        index: of the spectrum, dN/dE ~ E^-index; 1 is log-uniform.
        seed: fixes every shower, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        cut: the range below which Geant4 makes no particles, in mm.
        layout: library.
        force: overwrite `out`, and shards of another request.

    Examples:
        colliderkit generate silicon-tungsten 2000 --layout library --out library.hdf5
    """
    from colliderkit.sources.geant4.library import generate_library

    names = particle.split(",") if isinstance(particle, str) else particle
    path = generate_library(
        process,
        [name.strip() for name in names],
        count,
        out,
        energies=energies,
        index=index,
        seed=seed,
        cut=cut,
        workers=workers,
        dask=dask,
        force=force,
    )
    print(f"generated: {path}")


def overlap(
    process: Literal["overlapping-showers"],
    count: int,
    *,
    out: Path,
    library: Path,
    mean: float = 6.0,
    side: float = 240.0,
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
        seed: fixes every event.
        force: overwrite `out`.

    Examples:
        colliderkit generate overlapping-showers 1000 --library library.hdf5 --out events.parquet
    """
    from colliderkit.sources.datasets.overlapping_showers import overlapping_showers
    from colliderkit.sources.files.calorimeter_hits import write_hits
    from colliderkit.sources.files.shower_libraries import read_library

    hits = overlapping_showers(read_library(library), count, mean=mean, side=side, seed=seed)
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


def listed() -> list[str]:
    """Return a line for each sample, process and calorimeter."""
    lines = ["samples of several classes (Pythia 8):"]
    lines += [
        f"  {name:<16} {', '.join(f'{process} ({label})' for process, label in parts)}"
        for name, parts in SAMPLES.items()
    ]
    lines += ["", "processes (Pythia 8):"]
    lines += [f"  {name:<16} {process.title}" for name, process in PROCESSES.items()]
    lines += ["", "calorimeters (Geant4, or --simulation gflash):"]
    for name in CALORIMETERS:
        geometry = calorimeter(name).geometry
        lines.append(f"  {name:<16} {len(geometry.layers)} layers, {geometry.voxels} voxels")
    lines += ["", "events of a library of showers (CALORIMETER --layout library makes one):"]
    for name, make in FROM_LIBRARY.items():
        lines.append(f"  {name:<20} {(inspect.getdoc(make) or '').splitlines()[0]}")
    return lines


FROM_LIBRARY: dict[str, Callable[..., None]] = {
    "overlapping-showers": overlap,
    "pion-pairs": pair,
}


def main(argv: Sequence[str]) -> None:
    """Parse and run; a calorimeter in place of a process has the options of showers."""
    function: Callable[..., None] = generate
    if argv and argv[0] == "--list":
        print("\n".join(listed()))
        return
    words = leading(argv)
    process = words[0] if words else option(argv, "process")
    given = argv[len(words) :]
    if process in CALORIMETERS:
        function = parametrise if option(given, "simulation") == "gflash" else shoot
        function = collect if option(given, "layout") == "library" else function
    elif process in FROM_LIBRARY:
        function = FROM_LIBRARY[process]
    run(function, argv, "colliderkit generate", positional=["process", "count"])
