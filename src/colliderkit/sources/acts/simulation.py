"""Simulate hits in the TrackML detector with ACTS' Fatras, and find tracks with its Kalman filter.

The wheel of pyacts brings the detector (GenericDetector), the fast simulation and the tracking
chain; the two configurations that it reads from files are written here, for each run.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.hits import Particles, TrackerHits, offsets_of
from colliderkit.events.tables import Floats, Ints

__all__ = ["PIXEL_VOLUMES", "Beam", "Guns", "Simulated", "acts_version", "simulate"]

PIXEL_VOLUMES = (7, 8, 9)
# mm across and along a module, uniform over a pitch: pixels, short and long strips.
PITCHES = {
    **dict.fromkeys((7, 8, 9), (0.05, 0.05)),
    **dict.fromkeys((12, 13, 14), (0.08, 1.2)),
    **dict.fromkeys((16, 17, 18), (0.12, 10.8)),
}
SPREAD = (0.0125, 0.0125, 55.5)  # mm: of the vertices
FIELD = 2.0  # T
# Beyond these, in mm, a particle is born outside of the tracker, and ACTS has no volume for it.
RADIUS, LENGTH = 1_080.0, 3_030.0
# Of ACTS' tables, what is kept.
PLACES = {"volume": "volume_id", "layer": "layer_id", "module": "surface_id"}
HITS = ("particle_id", "x", "y", "z", *PLACES.values())
MEASURED = ("px", "py", "pz", "vx", "vy", "vz", "charge")
PARTICLES = ("particle_id", *MEASURED, "primary", "vertex_primary")
COLUMNS = ("d0", "z0", "phi", "theta", "qop")  # of a track at the beam: mm, radian, 1/GeV


@dataclass(frozen=True)
class Beam:
    """Particles (P,) of events to be simulated, flat: `offsets` (N + 1,), GeV, mm, PDG codes."""

    offsets: Ints
    pid: Ints
    px: Floats
    py: Floats
    pz: Floats
    x: Floats
    y: Floats
    z: Floats
    vertex: Ints


@dataclass(frozen=True)
class Guns:
    """Charged pions: `vertices` collisions of `particles` each, log-uniform in `pt` GeV."""

    vertices: int
    particles: int
    pt: tuple[float, float]
    eta: float


@dataclass(frozen=True)
class Simulated:
    """Hits with truth, and tracks: lists of an event by name (`COLUMNS`, hit_id), or None."""

    hits: TrackerHits
    tracks: dict[str, ak.Array] | None


@cache
def acts_module() -> ModuleType:
    """Import ACTS, or raise `InputError` saying how to install it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import acts
            import acts.arrow
            import acts.examples
            import acts.examples.arrow
            import acts.examples.json
            import acts.examples.reconstruction
            import acts.examples.simulation
    except ImportError as error:
        raise InputError(
            "simulating a tracker needs ACTS, whose wheels are for Linux with glibc 2.34 and later;"
            " run: pip install 'colliderkit[tracking]', or generate tracker-helices without it."
        ) from error
    module: ModuleType = acts
    return module


def acts_version() -> str:
    """Return the version of ACTS that the bits depend on."""
    from importlib.metadata import version

    acts_module()
    return version("pyacts")


@cache
def detector() -> Any:
    """Return the TrackML detector, built once a process, in 2 s."""
    acts = acts_module()
    configuration = acts.examples.GenericDetector.Config()
    configuration.logLevel = acts.logging.ERROR
    return acts.examples.GenericDetector(configuration)


def simulate(
    events: Guns | Beam, count: int, *, seed: int, first: int = 0, tracks: bool = False
) -> Simulated:
    """Simulate `count` events, with hits smeared as by the pitch of their module.

    The events are numbered from `first` on. With `tracks` ACTS finds them: seeds in the pixels, the
    combinatorial Kalman filter over all layers, greedy ambiguity resolution; at least 6
    measurements. The same seed gives the same bits. Raises `InputError` without the extra.
    """
    acts = acts_module()
    examples, units = acts.examples, acts.UnitConstants
    level = acts.logging.ERROR
    geometry = detector().trackingGeometry()
    field = acts.ConstantBField(acts.Vector3(0, 0, FIELD * units.T))
    random = examples.RandomNumbers(seed=seed % (1 << 31))
    with TemporaryDirectory(prefix="colliderkit-") as temporary:
        folder = Path(temporary)
        chain = examples.Sequencer(
            events=count,
            numThreads=1,
            logLevel=level,
            outputDir=temporary,
            trackFpes=False,
        )
        chain.defaultLogLevel = level
        common: dict[str, Any] = {"rnd": random, "logLevel": level}
        with quiet():
            add_particles(chain, events, common)
            examples.simulation.addFatras(chain, geometry, field, **common)
            pitches = written(folder / "digitisation.json", smearing())
            examples.simulation.addDigitization(
                chain, geometry, field, digiConfigFile=pitches, **common
            )
            if tracks:
                add_tracking(chain, geometry, field, folder, level)
            add_tables(chain, folder, level, "ambi" if tracks else "")
            chain.run()
        return collected(folder, first, tracks)


@contextmanager
def quiet() -> Iterator[None]:
    """Let ACTS' Python warnings of what the wheel lacks pass unseen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def add_particles(chain: Any, events: Guns | Beam, common: dict[str, Any]) -> None:
    """Add what makes or reads the particles."""
    acts = acts_module()
    units, simulation = acts.UnitConstants, acts.examples.simulation
    if isinstance(events, Beam):
        chain.addReader(reader(events, common["logLevel"]))
        for name in ("particles", "particles_generated_selected"):
            chain.addWhiteboardAlias(name, "particles_generated")
        return
    low, high = events.pt
    simulation.addParticleGun(
        chain,
        simulation.MomentumConfig(
            low * units.GeV, high * units.GeV, transverse=True, logUniform=True
        ),
        simulation.EtaConfig(-events.eta, events.eta, uniform=True),
        simulation.PhiConfig(0, 360 * units.degree),
        simulation.ParticleConfig(
            events.particles, acts.PdgParticle.ePionPlus, randomizeCharge=True
        ),
        multiplicity=events.vertices,
        vtxGen=acts.examples.GaussianVertexGenerator(
            mean=acts.Vector4(0, 0, 0, 0), stddev=acts.Vector4(*SPREAD, 0)
        ),
        **common,
    )


def reader(events: Beam, level: Any) -> Any:
    """Return what hands particles to ACTS, an event at a time: 27 us a particle."""
    acts = acts_module()
    examples = acts.examples

    class Reader(examples.IReader):  # type: ignore[name-defined]
        """Fill ACTS' container of particles."""

        def __init__(self) -> None:
            examples.IReader.__init__(self, "Beam", level)
            self.handle = examples.WriteDataHandle(self, examples.SimParticleContainer, "particles")
            self.handle.initialize("particles_generated")

        def availableEvents(self) -> tuple[int, int]:
            return (0, len(events.offsets) - 1)

        def read(self, context: Any) -> Any:
            container = examples.SimParticleContainer()
            n = context.eventNumber
            for i in range(events.offsets[n], events.offsets[n + 1]):
                barcode = examples.SimBarcode()
                barcode.vertexPrimary = int(events.vertex[i])
                barcode.particle = int(i - events.offsets[n]) + 1
                particle = examples.SimParticle(barcode, acts.PdgParticle(int(events.pid[i])))
                particle.fourPosition = acts.Vector4(
                    float(events.x[i]), float(events.y[i]), float(events.z[i]), 0.0
                )
                momentum = float(events.px[i]), float(events.py[i]), float(events.pz[i])
                particle.direction = acts.Vector3(*momentum)
                particle.absoluteMomentum = float(np.linalg.norm(momentum))
                container.insert(particle)
            self.handle(context, container)
            return examples.ProcessCode.SUCCESS

    return Reader()


def smearing() -> dict[str, Any]:
    """Return ACTS' configuration of hits smeared by a normal of a pitch's width."""
    entries = [
        {
            "volume": volume,
            "value": {
                "smearing": [
                    {"index": i, "mean": 0.0, "stddev": pitch / 12**0.5, "type": "Gauss"}
                    for i, pitch in enumerate(pitches)
                ]
            },
        }
        for volume, pitches in PITCHES.items()
    ]
    header = {"format-version": 0, "value-identifier": "digitization-configuration"}
    return {"acts-geometry-hierarchy-map": header, "entries": entries}


def written(path: Path, content: Any) -> str:
    """Write JSON and return the path as text."""
    path.write_text(json.dumps(content))
    return str(path)


def add_tracking(chain: Any, geometry: Any, field: Any, folder: Path, level: Any) -> None:
    """Add seeds, the Kalman filter and the resolution of ambiguities."""
    acts = acts_module()
    units = acts.UnitConstants
    simulation, reconstruction = acts.examples.simulation, acts.examples.reconstruction
    simulation.addDigiParticleSelection(
        chain,
        simulation.ParticleSelectorConfig(
            pt=(0.9 * units.GeV, None),
            eta=(-2.5, 2.5),
            rho=(0, 24.0),
            measurements=(3, None),
            removeNeutral=True,
        ),
        logLevel=level,
    )
    reconstruction.addSeeding(
        chain,
        geometry,
        field,
        geoSelectionConfigFile=written(
            folder / "seeding.json", [{"volume": v} for v in PIXEL_VOLUMES]
        ),
        seedFinderConfigArg=reconstruction.SeedFinderConfigArg(
            r=(None, 200 * units.mm),
            deltaR=(1 * units.mm, 300 * units.mm),
            collisionRegion=(-250 * units.mm, 250 * units.mm),
            z=(-2000 * units.mm, 2000 * units.mm),
            maxSeedsPerSpM=1,
            sigmaScattering=5,
            radLengthPerSeed=0.1,
            minPt=0.3 * units.GeV,
            impactMax=3 * units.mm,
        ),
        seedFinderOptionsArg=reconstruction.SeedFinderOptionsArg(
            bFieldInZ=FIELD * units.T, beamPos=(0.0, 0.0)
        ),
        **first_errors(units),
        initialVarInflation=[1.0] * 6,
        logLevel=level,
    )
    writes_nothing = {"writeTrackSummary": False, "writePerformance": False, "logLevel": level}
    reconstruction.addCKFTracks(
        chain,
        geometry,
        field,
        reconstruction.TrackSelectorConfig(
            pt=(0.3 * units.GeV, None),
            absEta=(None, 3.0),
            loc0=(-4 * units.mm, 4 * units.mm),
            nMeasurementsMin=6,
            maxHoles=2,
            maxOutliers=2,
        ),
        reconstruction.CkfConfig(
            chi2CutOffMeasurement=15.0,
            chi2CutOffOutlier=25.0,
            numMeasurementsCutOff=2,
            seedDeduplication=True,
            stayOnSeed=True,
        ),
        **writes_nothing,
    )
    reconstruction.addAmbiguityResolution(
        chain,
        reconstruction.AmbiguityResolutionConfig(
            maximumSharedHits=3, maximumIterations=1_000_000, nMeasurementsMin=6
        ),
        **writes_nothing,
    )


def first_errors(units: Any) -> dict[str, Any]:
    """Return the errors of parameters that are estimated from a seed, before any fit."""
    places, angles = [1 * units.mm] * 2, [1 * units.degree] * 2
    return {
        "initialSigmas": [*places, *angles, 0 * units.e / units.GeV, 1 * units.ns],
        "initialSigmaQoverPt": 0.1 * units.e / units.GeV,
        "initialSigmaPtRel": 0.1,
    }


def add_tables(chain: Any, folder: Path, level: Any, tracks: str) -> None:
    """Add what writes particles, hits and, of a kind of ACTS' names, tracks as Parquet."""
    acts = acts_module()
    arrow, schemas = acts.examples.arrow, acts.arrow
    tables = {"particle_table": "particles", "hit_table": "hits"}
    expected = {"particle_table": schemas.particleSchema(), "hit_table": schemas.simHitSchema()}
    chain.addAlgorithm(
        arrow.ArrowParticleOutputConverter(
            level=level, inputParticles="particles_simulated", outputTable="particle_table"
        )
    )
    # Without clusters and their map the positions would be NaN.
    chain.addAlgorithm(
        arrow.ArrowSimHitOutputConverter(
            level=level,
            inputSimHits="simhits",
            inputParticles="particles_simulated",
            inputClusters="clusters",
            inputSimHitMeasurementsMap="simhit_measurements_map",
            outputTable="hit_table",
        )
    )
    if tracks:
        chain.addAlgorithm(
            arrow.ArrowTrackOutputConverter(
                level=level,
                inputTracks=f"{tracks}_tracks",
                inputTrackParticleMatching=f"{tracks}_track_particle_matching",
                inputMeasurementSimHitsMap="measurement_simhits_map",
                outputTable="track_table",
            )
        )
        tables["track_table"] = "tracks"
        expected["track_table"] = schemas.trackSchema()
    chain.addWriter(
        arrow.ParquetWriter(
            level=level, collections=tables, expectedSchemas=expected, outputDir=str(folder)
        )
    )


def collected(folder: Path, first: int, tracks: bool) -> Simulated:
    """Read what was written, with particles and hits numbered from 1 on in each event."""
    sizes, hits = read_lists(folder / "hits", HITS)
    made_sizes, particles = read_lists(folder / "particles", PARTICLES)
    count = len(sizes)
    event, of = (np.repeat(np.arange(count), many) for many in (sizes, made_sizes))
    ids, made_by = renumbered(of, particles["particle_id"], event, hits["particle_id"])
    measured = np.isfinite(hits["x"])
    event = event[measured]
    # Nothing of this can be wrong as a file's may be, so that `TrackerHits.checked` is not asked.
    made = TrackerHits(
        offsets_of(event, count),
        **{name: hits[name][measured].astype(np.float64) for name in ("x", "y", "z")},
        **{name: hits[of_acts][measured].astype(np.int64) for name, of_acts in PLACES.items()},
        id=(ranks_in(np.repeat(np.arange(count), sizes)) + 1)[measured],
        number=np.arange(first, first + count),
        particle=made_by[measured],
        particles=Particles(
            offsets_of(of, count),
            ids,
            **{name: particles[name].astype(np.float64) for name in MEASURED},
            primary=particles["primary"].astype(bool),
            vertex=particles["vertex_primary"].astype(np.int64),
        ),
    )
    if not tracks:
        return Simulated(made, None)
    found = ak.from_parquet(folder / "tracks")
    # Arrow's lists may hold nothing; these do not.
    sizes = np.asarray(ak.num(found.d0))
    named = {n: ak.unflatten(flat(found[n]).astype(np.float64), sizes) for n in COLUMNS}
    each = np.asarray(ak.flatten(ak.num(found.hit_ids, axis=2), axis=None))
    ids = np.asarray(ak.flatten(found.hit_ids, axis=None)).astype(np.int64) + 1
    named["hit_id"] = ak.unflatten(ak.unflatten(ids, each), sizes)
    return Simulated(made, named)


def read_lists(path: Path, names: Sequence[str]) -> tuple[Ints, dict[str, NDArray[Any]]]:
    """Return the sizes (N,) of the lists of a Parquet folder, and `names` of them as flat arrays.

    Nothing but a view of Arrow's memory: awkward took a tenth of the simulation's time.
    """
    table = pq.read_table(path, columns=list(names)).combine_chunks()
    lists = {name: table[name].combine_chunks() for name in names}
    sizes = np.diff(lists[names[0]].offsets.to_numpy())
    return sizes, {
        name: column.flatten().to_numpy(zero_copy_only=False) for name, column in lists.items()
    }


def flat(column: ak.Array) -> NDArray[Any]:
    """Return lists as one array; what is not there is NaN."""
    values = ak.flatten(column)
    if ak.any(ak.is_none(values)):
        values = ak.fill_none(values, np.nan)
    return np.asarray(values)


def renumbered(
    of: Ints, known: NDArray[Any], event: Ints, owner: NDArray[Any]
) -> tuple[Ints, Ints]:
    """Return numbers from 1 on of particles (P,) of events, and those of hits (H,), 0 for none."""
    number = ranks_in(of) + 1
    if not len(known):
        return number, np.zeros(len(event), dtype=np.int64)
    # Two keys at once: the rank of the id among all, and the event.
    names, rank = np.unique(known, return_inverse=True)
    key = of * len(names) + rank
    order = np.argsort(key, kind="stable")
    of_hit = np.minimum(np.searchsorted(names, owner), len(names) - 1)
    wanted = event * len(names) + of_hit
    place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    rows = order[place]
    there = (names[of_hit] == owner) & (key[rows] == wanted)
    return number, np.where(there, number[rows], 0)


def collisions(record: ak.Array, pool: ak.Array, mean: float, *, seed: Sequence[int]) -> Beam:
    """Overlay `mean` collisions of a pool on each event, each at a vertex of its own.

    `record` and `pool` are events of `sources.pythia.jets.events`; the pool is drawn from with
    replacement. Neutral particles leave no hits and are dropped, and so is what is born outside of
    the tracker.
    """
    random = np.random.default_rng(list(seed))
    count = len(record)
    many = random.poisson(mean, count)
    drawn = random.integers(0, max(len(pool), 1), int(many.sum()))
    parts = [record, pool[drawn]] if len(drawn) else [record]
    of = np.concatenate([np.arange(count), np.repeat(np.arange(count), many)])
    joined = ak.concatenate(parts)
    vertex = np.concatenate(
        [np.ones(count, dtype=np.int64), ranks_in(np.repeat(np.arange(count), many)) + 2]
    )
    sizes = np.asarray(ak.num(joined.px))
    at = random.normal(size=(len(of), 3)) * SPREAD
    columns = {name: flat(joined[name]).astype(np.float64) for name in ("px", "py", "pz")}
    for name, shift in zip("xyz", at.T, strict=True):
        columns[name] = np.nan_to_num(flat(joined[name])) + np.repeat(shift, sizes)
    keep = flat(joined.charge) != 0
    keep &= (np.hypot(columns["x"], columns["y"]) < RADIUS) & (np.abs(columns["z"]) < LENGTH)
    event, label = np.repeat(of, sizes)[keep], np.repeat(vertex, sizes)[keep]
    order = np.argsort(event, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=count))])
    return Beam(
        offsets,
        flat(joined.pid)[keep][order].astype(np.int64),
        **{name: values[keep][order] for name, values in columns.items()},
        vertex=label[order],
    )


def ranks_in(rising: Ints) -> Ints:
    """Return 0, 1, ... for the rows of each value of a rising array."""
    begin = np.r_[True, np.diff(rising) != 0] if len(rising) else np.zeros(0, dtype=bool)
    return np.arange(len(rising)) - np.flatnonzero(begin)[np.cumsum(begin) - 1]
