"""Fit tracks that were found here by ACTS' Kalman filter: parameters at the beam, with errors."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.sources.acts.simulation import (
    FIELD,
    Beam,
    Guns,
    acts_module,
    add_particles,
    add_tables,
    detector,
    first_errors,
    flat,
    quiet,
    smearing,
    written,
)

__all__ = ["PARAMETERS", "FittedTracks", "refit"]

STRAIGHT = 0.5  # mm from the beam within which a helix is taken for a line
PARAMETERS = ("d0", "z0", "phi", "theta", "qop")  # mm, mm, radian, radian, 1/GeV


@dataclass(frozen=True)
class FittedTracks:
    """Hold K fitted tracks: `event` (K,), `values` and `errors` (K, 5) of `PARAMETERS`.

    `truth` (K, 5) are those of the particle that most hits are of, NaN where there is none, and
    `primary` (K,) whether it is from a collision.
    """

    event: Ints
    values: Floats
    errors: Floats
    truth: Floats
    primary: NDArray[np.bool_]

    @property
    def pulls(self) -> Floats:
        """Return (fitted - true) / error (K, 5); an angle's difference is the shorter one."""
        difference = self.values - self.truth
        difference[:, 2] = np.remainder(difference[:, 2] + np.pi, 2 * np.pi) - np.pi
        pulls: Floats = difference / self.errors
        return pulls


def refit(
    events: Guns | Beam, count: int, hits: TrackerHits, tracks: Ints, *, seed: int
) -> FittedTracks:
    """Fit the `tracks` (H,) of hits that `simulate` has made of the same events and seed.

    The events are simulated again, bit for bit, so that ACTS has its own measurements; each track
    begins with an estimate from three of its hits. Tracks whose fit does not converge are left out.
    Raises `InputError` where the hits are of other events.
    """
    if len(hits) != count:
        raise InputError(f"{len(hits)} events of hits are given for {count}; give them all.")
    acts = acts_module()
    examples = acts.examples
    level = acts.logging.ERROR
    geometry = detector().trackingGeometry()
    field = acts.ConstantBField(acts.Vector3(0, 0, FIELD * acts.UnitConstants.T))
    random = examples.RandomNumbers(seed=seed % (1 << 31))
    covariances: list[Floats] = []
    with TemporaryDirectory(prefix="colliderkit-") as temporary:
        folder = Path(temporary)
        chain = examples.Sequencer(
            events=count, numThreads=1, logLevel=level, outputDir=temporary, trackFpes=False
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
            chain.addAlgorithm(proto_tracks(hits, tracks, level))
            add_fit(chain, geometry, field, folder, level)
            chain.addAlgorithm(covariance_reader(covariances, level))
            add_tables(chain, folder, level, tracks="kf")
            chain.run()
        return _fitted(folder, hits, covariances)


def proto_tracks(hits: TrackerHits, tracks: Ints, level: Any) -> Any:
    """Return an algorithm that writes tracks as lists of ACTS' measurements."""
    examples = acts_module().examples

    class ProtoTracks(examples.IAlgorithm):  # type: ignore[name-defined]
        """Write the tracks of each event."""

        def __init__(self) -> None:
            examples.IAlgorithm.__init__(self, "ProtoTracks", level)
            self.map = examples.ReadDataHandle(self, examples.SimHitMeasurementsMap, "map")
            self.map.initialize("simhit_measurements_map")
            self.out = examples.WriteDataHandle(self, examples.ProtoTrackContainer, "proto")
            self.out.initialize("found_tracks")

        def execute(self, context: Any) -> Any:
            n = context.eventNumber
            mine = slice(int(hits.offsets[n]), int(hits.offsets[n + 1]))
            labels, numbers, radius = tracks[mine], hits.id[mine] - 1, hits.r[mine]
            measured = self.map(context.eventStore)
            container = examples.ProtoTrackContainer()
            order = np.lexsort((radius, labels))
            order = order[labels[order] != 0]
            ends = np.flatnonzero(np.diff(labels[order])) + 1
            for part in np.split(order, ends) if len(order) else []:
                proto = examples.ProtoTrack()
                for number in numbers[part].tolist():
                    proto.extend(measured.valuesFor(number)[:1])
                container.append(proto)
            self.out(context, container)
            return examples.ProcessCode.SUCCESS

    return ProtoTracks()


def add_fit(chain: Any, geometry: Any, field: Any, folder: Path, level: Any) -> None:
    """Add space points, first estimates and the Kalman fit."""
    acts = acts_module()
    examples, units = acts.examples, acts.UnitConstants
    pixels = written(folder / "seeding.json", [{"volume": v} for v in (7, 8, 9)])
    chain.addAlgorithm(
        examples.SpacePointMaker(
            level=level,
            inputMeasurements="measurement_subset",
            outputSpacePoints="spacepoints",
            trackingGeometry=geometry,
            geometrySelection=examples.json.readJsonGeometryList(pixels),
        )
    )
    chain.addAlgorithm(
        examples.ProtoTracksToSeeds(
            level=level,
            inputProtoTracks="found_tracks",
            inputSpacePoints="spacepoints",
            outputSeeds="found_seeds",
            outputProtoTracks="seeded_tracks",
        )
    )
    chain.addAlgorithm(
        examples.TrackParamsEstimationAlgorithm(
            level=level,
            inputSeeds="found_seeds",
            inputProtoTracks="seeded_tracks",
            outputProtoTracks="estimated_tracks",
            outputTrackParameters="estimatedparameters",
            trackingGeometry=geometry,
            magneticField=field,
            **first_errors(units),
            # The first estimate uses the hits that are fitted: its errors must not count.
            initialVarInflation=[100.0] * 6,
        )
    )
    examples.reconstruction.addKalmanTracks(
        chain, geometry, field, inputProtoTracks="estimated_tracks", logLevel=level
    )


def covariance_reader(found: list[Floats], level: Any) -> Any:
    """Return an algorithm that appends the covariances (K, 6, 6) of each event's tracks."""
    examples = acts_module().examples

    class Covariances(examples.IAlgorithm):  # type: ignore[name-defined]
        """Read the fitted tracks of each event."""

        def __init__(self) -> None:
            examples.IAlgorithm.__init__(self, "Covariances", level)
            self.tracks = examples.ReadDataHandle(self, examples.ConstTrackContainer, "tracks")
            self.tracks.initialize("kf_tracks")

        def execute(self, context: Any) -> Any:
            tracks = self.tracks(context.eventStore)
            found.append(np.array(tracks.covariance, dtype=np.float64).reshape(-1, 6, 6))
            return examples.ProcessCode.SUCCESS

    return Covariances()


def _fitted(folder: Path, hits: TrackerHits, covariances: list[Floats]) -> FittedTracks:
    """Read the tracks' table, and the truth of the particles that they are of."""
    tracks, particles = (ak.from_parquet(folder / name) for name in ("tracks", "particles"))
    event = np.repeat(np.arange(len(tracks)), np.asarray(ak.num(tracks.d0)))
    values = np.stack([flat(tracks[name]).astype(np.float64) for name in PARAMETERS], axis=1)
    errors = np.sqrt(np.concatenate(covariances)[:, range(5), range(5)])
    names = ("px", "py", "pz", "charge", "vx", "vy", "vz")
    px, py, pz, charge, x, y, z = (flat(particles[name]).astype(np.float64) for name in names)
    pt = np.hypot(px, py)
    # Of what is born near the beam, where a path is straight; of others ACTS has no perigee here.
    near = np.where(np.hypot(x, y) < STRAIGHT, 1.0, np.nan)
    true = np.stack(
        [
            near * (y * px - x * py) / pt,
            near * (z - (x * px + y * py) / pt * pz / pt),
            np.arctan2(py, px),
            np.arctan2(pt, pz),
            charge / np.hypot(pt, pz),
        ],
        axis=1,
    )
    # Particles of an event are numbered from 1 on, as those of the hits.
    begins = np.cumsum(np.asarray(ak.num(particles.px)))
    begins = np.concatenate([[0], begins[:-1]])
    owner = majority(hits, event, tracks.hit_ids)
    rows = begins[event] + np.maximum(owner, 1) - 1
    known = owner > 0
    return FittedTracks(
        event,
        values,
        errors,
        np.where(known[:, None], true[rows], np.nan),
        known & flat(particles.primary)[rows].astype(bool),
    )


def majority(hits: TrackerHits, event: Ints, lists: ak.Array) -> Ints:
    """Return the particle (K,) that most hits of each track are of, of equal ones the first."""
    particle = hits.truth("a pull")
    sizes = np.asarray(ak.flatten(ak.num(lists, axis=2), axis=None))
    ids = np.asarray(ak.flatten(lists, axis=None)).astype(np.int64) + 1
    of = np.repeat(event, sizes)
    most = int(max(ids.max(initial=0), hits.id.max(initial=0))) + 1
    key = hits.event * most + hits.id
    order = np.argsort(key, kind="stable")
    owner = particle[order[np.searchsorted(key[order], of * most + ids)]]
    track = np.repeat(np.arange(len(sizes)), sizes)
    pairs, counts = np.unique(np.stack([track, owner]), axis=1, return_counts=True)
    best = np.lexsort((-counts, pairs[0]))
    first = best[np.r_[True, np.diff(pairs[0][best]) > 0]]
    found = np.zeros(len(sizes), dtype=np.int64)
    found[pairs[0][first]] = pairs[1][first]
    return found
