"""Make collider events."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from colliderkit.cli.from_library import FROM_LIBRARY
from colliderkit.cli.from_towers import TOWERS
from colliderkit.cli.parsing import leading, option, run
from colliderkit.sources.detector.timing import Timing
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
    timing: float | None = None,
    force: bool = False,
) -> None:
    """Generate jets with Pythia 8 and FastJet and write them as Parquet.

    In place of a process, a calorimeter or a tracker: ``generate photons-368 --help``,
    ``generate tracker-helices --help``; a calorimeter with ``--layout library`` makes a library of
    its showers, and overlapping-showers, pion-pairs, calorimeter-objects and particle-flow make
    events of one.

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
        timing: of whole events with pileup, the resolution in ps with which particles are timed.
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
        timing=None if timing is None else Timing(timing),
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


def helices(
    process: str,
    count: int,
    *,
    out: Path,
    vertices: int = 20,
    particles: int = 10,
    pt: tuple[float, float] = (0.3, 10.0),
    eta: float = 2.5,
    noise: float = 0.0,
    missed: float = 0.01,
    strips: bool = False,
    trackml: bool = False,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Draw hits of helices in a tracker of TrackML's radii, without matter, and write a folder.

    Args:
        process: tracker-helices.
        count: events.
        out: the folder, with hits.parquet and particles.parquet.
        vertices: collisions of an event.
        particles: charged ones of each.
        pt: the lowest and the highest transverse momentum, in GeV, log-uniform.
        eta: the largest pseudorapidity.
        noise: mean number of hits on each layer that are of no particle.
        missed: share of hits that are lost.
        strips: the barrel's strips too, and not the pixels alone.
        trackml: write the four CSV files of each event in place of Parquet.
        seed: fixes every hit.
        force: overwrite `out`.

    Examples:
        colliderkit generate tracker-helices 500 --out events
    """
    from colliderkit.files import refuse_existing
    from colliderkit.sources.files.hits import write_hits, write_trackml
    from colliderkit.sources.toys.tracker import PIXELS, STRIPS, helix_hits

    refuse_existing(out, force)
    made = helix_hits(
        count,
        vertices=vertices,
        particles=particles,
        pt=pt,
        eta=eta,
        noise=noise,
        missed=missed,
        layers=(*PIXELS, *STRIPS) if strips else PIXELS,
        seed=seed,
    )
    (write_trackml if trackml else write_hits)(out, made, force=force)
    print(f"generated: {out}")


def fire(
    process: str,
    count: int,
    *,
    out: Path,
    vertices: int = 20,
    particles: int = 10,
    pt: tuple[float, float] = (0.3, 10.0),
    eta: float = 2.5,
    tracks: bool = False,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    force: bool = False,
) -> None:
    """Shoot charged pions into the TrackML detector with ACTS, and write a folder of hits.

    Args:
        process: tracker-guns.
        count: events.
        out: the folder, with hits.parquet, particles.parquet and tracks.parquet.
        vertices: collisions of an event.
        particles: pions of each.
        pt: the lowest and the highest transverse momentum, in GeV, log-uniform.
        eta: the largest pseudorapidity.
        tracks: find tracks with ACTS' combinatorial Kalman filter too.
        seed: fixes every hit, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        force: overwrite `out`, and shards of another request.

    Examples:
        colliderkit generate tracker-guns 500 --tracks true --out events --workers 2
    """
    from colliderkit.sources.acts.shards import generate_tracks
    from colliderkit.sources.acts.simulation import Guns

    path = generate_tracks(
        count,
        out,
        guns=Guns(vertices, particles, pt, eta),
        tracks=tracks,
        seed=seed,
        workers=workers,
        dask=dask,
        force=force,
    )
    print(f"generated: {path}")


def overlay(
    process: str,
    count: int,
    *,
    out: Path,
    hard: str = "minimum-bias",
    pileup: float = 20.0,
    tracks: bool = False,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    force: bool = False,
) -> None:
    """Simulate Pythia's collisions with pileup in the TrackML detector, and write a folder of hits.

    Args:
        process: tracker-pythia.
        count: events.
        out: the folder, with hits.parquet, particles.parquet and tracks.parquet.
        hard: the process of the first collision, one of ``generate --list``.
        pileup: mean number of minimum-bias collisions overlaid.
        tracks: find tracks with ACTS' combinatorial Kalman filter too.
        seed: fixes every hit, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        force: overwrite `out`, and shards of another request.

    Examples:
        colliderkit generate tracker-pythia 100 --hard top --pileup 20 --out events
    """
    from colliderkit.sources.acts.shards import generate_tracks

    path = generate_tracks(
        count,
        out,
        process=hard,
        pileup=pileup,
        tracks=tracks,
        seed=seed,
        workers=workers,
        dask=dask,
        force=force,
    )
    print(f"generated: {path}")


TRACKERS: dict[str, tuple[str, Callable[..., None]]] = {
    "tracker-helices": ("helices on TrackML's pixel layers, without matter", helices),
    "tracker-guns": ("charged pions in the TrackML detector, by ACTS", fire),
    "tracker-pythia": ("Pythia with pileup in the TrackML detector, by ACTS", overlay),
    **TOWERS,
}


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


def listed() -> list[str]:
    """Return a line for each sample, process, calorimeter and tracker."""
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
    lines += ["", "trackers (helices, or ACTS):"]
    lines += [f"  {name:<16} {title}" for name, (title, _) in TRACKERS.items()]
    lines += ["", "events of a library of showers (CALORIMETER --layout library makes one):"]
    for name, make in FROM_LIBRARY.items():
        lines.append(f"  {name:<20} {(inspect.getdoc(make) or '').splitlines()[0]}")
    return lines


def main(argv: Sequence[str]) -> None:
    """Parse and run; a calorimeter or a tracker in place of a process has options of its own."""
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
    elif process in TRACKERS:
        function = TRACKERS[process][1]
    run(function, argv, "colliderkit generate", positional=["process", "count"])
