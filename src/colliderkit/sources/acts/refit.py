"""Fit tracks that were found here by ACTS' Kalman filter: parameters at the beam, with errors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.hits import NOISE, TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.progress import progress_bar
from colliderkit.sources.acts.simulation import (
    FIELD,
    PITCHES,
    PIXEL_VOLUMES,
    acts_module,
    detector,
    first_errors,
    quiet,
    written,
)

__all__ = ["FittedTracks", "fit_tracks"]

STRAIGHT = 0.5  # mm from the beam within which a helix is taken for a line
AWAY = 0.5  # mm that a hit may be away from the plane of its module
FEWEST = 3  # hits in pixels, which the first estimate is made of


@dataclass(frozen=True)
class FittedTracks:
    """Hold K fitted tracks: `values` and `errors` (K, 5) of d0, z0, phi, theta and q/p.

    They hold at the beam, in mm, radian and 1/GeV (`sources.files.tracks.PARAMETERS`).

    `event` (K,) counts from 0 and `track` (K,) is the label of the hits; `truth` (K, 5) are those
    of the `particle` (K,) that most hits are of, NaN where there is none or it is not known, and
    `primary` (K,) whether it is from a collision. `tried` tracks were fitted: those of three hits
    and more in the pixels.
    """

    event: Ints
    track: Ints
    values: Floats
    errors: Floats
    truth: Floats
    particle: Ints
    primary: NDArray[np.bool_]
    tried: int

    @property
    def pulls(self) -> Floats:
        """Return (fitted - true) / error (K, 5); an angle's difference is the shorter one."""
        difference = self.values - self.truth
        difference[:, 2] = turned(difference[:, 2])
        pulls: Floats = difference / self.errors
        return pulls


def fit_tracks(hits: TrackerHits, tracks: Ints, *, progress: bool = False) -> FittedTracks:
    """Fit helices to found `tracks` (H,), 0 for none, by ACTS' Kalman filter, matter included.

    The hits are on modules of the TrackML detector, in a field of 2 T, and become measurements
    with the error of the module's pitch, p / sqrt(12). Each track begins with an estimate from
    three of its hits in the pixels, whose errors do not count. Tracks with fewer are not tried, and
    tracks whose fit does not converge are left out.

    Raises `InputError` without the extra, for hits on modules that the detector does not have, and
    for those that are not where their module is.
    """
    acts = acts_module()
    examples = acts.examples
    level = acts.logging.FATAL  # a fit that does not converge is no error of the chain
    most = int(tracks.max(initial=0)) + 1
    key = hits.event * most + tracks
    on = (tracks != 0) & np.isin(hits.volume, PIXEL_VOLUMES)
    found_keys, many = np.unique(key[on], return_counts=True)
    able = np.isin(key, found_keys[many >= FEWEST])
    tried = int((many >= FEWEST).sum())
    hits, tracks = hits.where(able), tracks[able]
    measured = local(hits)
    found: list[tuple[Ints, Floats, Floats]] = []
    with (
        TemporaryDirectory(prefix="colliderkit-") as temporary,
        progress_bar(shown=progress) as bar,
    ):
        chain = examples.Sequencer(
            events=len(hits), numThreads=1, logLevel=level, outputDir=temporary, trackFpes=False
        )
        chain.defaultLogLevel = level
        task = bar.add_task("tracks fitted, events", total=len(hits))
        with quiet():
            chain.addAlgorithm(measurements(hits, tracks, measured, level))
            add_fit(chain, Path(temporary), level)
            chain.addAlgorithm(results(found, lambda: bar.advance(task), level))
            if len(hits):
                chain.run()
    event = np.repeat(np.arange(len(found)), [len(rows) for rows, _, _ in found])
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *(part for part, _, _ in found)])
    label = tracks[rows + hits.offsets[event]]
    values = np.concatenate([np.zeros((0, 5)), *(part for _, part, _ in found)])
    errors = np.concatenate([np.zeros((0, 5)), *(part for _, _, part in found)])
    good = (errors > 0).all(1)  # a fit that did not reach the beam has none
    event, label, values, errors = event[good], label[good], values[good], errors[good]
    truth = true_values(hits, tracks, event, label)
    return FittedTracks(event, label, values, errors, *truth, tried)


@cache
def modules() -> tuple[Ints, Floats, Floats, tuple[Any, ...]]:
    """Return keys (M,) of the modules, their axes (M, 3, 3), centres (M, 3), and identifiers."""
    acts = acts_module()
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    surfaces = detector().trackingGeometry().geoIdSurfaceMap()
    places = [place for place in surfaces if place.sensitive]
    numbers = np.array([(p.volume, p.layer, p.sensitive) for p in places], dtype=np.int64)
    transforms = [surfaces[place].localToGlobalTransform(context) for place in places]
    axes = np.array([[[t.rotation[i, j] for j in range(3)] for i in range(3)] for t in transforms])
    centres = np.array([np.asarray(t.translation) for t in transforms])
    keys = keys_of(*numbers.T)
    order = np.argsort(keys)
    return keys[order], axes[order], centres[order], tuple(places[i] for i in order)


def keys_of(volume: Ints, layer: Ints, module: Ints) -> Ints:
    """Return one number for each module."""
    return (volume << 40) + (layer << 24) + module


def local(hits: TrackerHits) -> tuple[Ints, Floats]:
    """Return the rows (H,) of the hits' modules in `modules`, and positions (H, 2) on them."""
    keys, axes, centres, _ = modules()
    wanted = keys_of(hits.volume, hits.layer, hits.module)
    rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    lost = keys[rows] != wanted
    if lost.any():
        row = int(np.argmax(lost))
        raise InputError(
            f"hit {hits.id[row]} of event {hits.number[hits.event[row]]} is on volume"
            f" {hits.volume[row]}, layer {hits.layer[row]}, module {hits.module[row]}, which the"
            " TrackML detector of ACTS does not have; tracks are fitted in that one alone, so find"
            " them without a fit."
        )
    away = np.stack([hits.x, hits.y, hits.z], axis=1) - centres[rows]
    position = np.einsum("hij,hi->hj", axes[rows], away)
    off = np.abs(position[:, 2]) > AWAY
    if off.any():
        row = int(np.argmax(off))
        raise InputError(
            f"hit {hits.id[row]} of event {hits.number[hits.event[row]]} is"
            f" {abs(position[row, 2]):.3g} mm away from its module ({hits.volume[row]},"
            f" {hits.layer[row]}, {hits.module[row]}) of the TrackML detector of ACTS: these hits"
            " are of another detector, so find tracks without a fit."
        )
    return rows, position[:, :2]


def measurements(hits: TrackerHits, tracks: Ints, measured: tuple[Ints, Floats], level: Any) -> Any:
    """Return an algorithm that writes hits as ACTS' measurements, and tracks as lists of them."""
    examples = acts_module().examples
    rows, position = measured
    places = modules()[3]
    variance = {volume: [p**2 / 12 for p in pitches] for volume, pitches in PITCHES.items()}

    class Measurements(examples.IAlgorithm):  # type: ignore[name-defined]
        """Write the hits and tracks of each event."""

        def __init__(self) -> None:
            examples.IAlgorithm.__init__(self, "Measurements", level)
            kinds = examples.MeasurementContainer, examples.ProtoTrackContainer
            self.hits = examples.WriteDataHandle(self, kinds[0], "hits")
            self.tracks = examples.WriteDataHandle(self, kinds[1], "tracks")
            self.hits.initialize("measurements")
            self.tracks.initialize("found_tracks")

        def execute(self, context: Any) -> Any:
            n = context.eventNumber
            mine = slice(int(hits.offsets[n]), int(hits.offsets[n + 1]))
            container = examples.MeasurementContainer()
            container.reserve(mine.stop - mine.start)
            spots, volumes = position[mine].tolist(), hits.volume[mine].tolist()
            for row, spot, volume in zip(rows[mine].tolist(), spots, volumes, strict=True):
                container.emplaceMeasurement(places[row], [0, 1], spot, variance[volume])
            labels = tracks[mine]
            order = np.lexsort((hits.r[mine], labels))
            ends = np.flatnonzero(np.diff(labels[order])) + 1
            found = examples.ProtoTrackContainer()
            for part in np.split(order, ends) if len(order) else []:
                found.append(examples.ProtoTrack(part.tolist()))
            self.hits(context, container)
            self.tracks(context, found)
            return examples.ProcessCode.SUCCESS

    return Measurements()


def everything(level: Any) -> Any:
    """Return an algorithm that writes the subset of all measurements, which space points ask for.

    It points to what the chain holds, and so is made of that.
    """
    examples = acts_module().examples

    class Everything(examples.IAlgorithm):  # type: ignore[name-defined]
        """Choose all measurements of each event."""

        def __init__(self) -> None:
            examples.IAlgorithm.__init__(self, "Everything", level)
            self.hits = examples.ReadDataHandle(self, examples.MeasurementContainer, "hits")
            self.subset = examples.WriteDataHandle(self, examples.MeasurementSubset, "subset")
            self.hits.initialize("measurements")
            self.subset.initialize("measurement_subset")

        def execute(self, context: Any) -> Any:
            hits = self.hits(context.eventStore)
            self.subset(context, examples.MeasurementSubset(hits, list(range(len(hits)))))
            return examples.ProcessCode.SUCCESS

    return Everything()


def add_fit(chain: Any, folder: Path, level: Any) -> None:
    """Add space points, first estimates and the Kalman fit."""
    acts = acts_module()
    examples, units = acts.examples, acts.UnitConstants
    geometry = detector().trackingGeometry()
    field = acts.ConstantBField(acts.Vector3(0, 0, FIELD * units.T))
    chain.addAlgorithm(everything(level))
    pixels = written(folder / "seeding.json", [{"volume": v} for v in PIXEL_VOLUMES])
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
            outputTrackParameters="estimated_parameters",
            trackingGeometry=geometry,
            magneticField=field,
            **first_errors(units),
            # The first estimate uses the hits that are fitted: its errors must not count.
            initialVarInflation=[100.0] * 6,
        )
    )
    chain.addAlgorithm(
        examples.TrackFittingAlgorithm(
            level=level,
            inputMeasurements="measurements",
            inputProtoTracks="estimated_tracks",
            inputInitialTrackParameters="estimated_parameters",
            inputClusters="",
            outputTracks="fitted_tracks",
            pickTrack=-1,
            fit=examples.makeKalmanFitterFunction(
                geometry,
                field,
                multipleScattering=True,
                energyLoss=True,
                reverseFilteringMomThreshold=0.0,
                reverseFilteringCovarianceScaling=100.0,
                freeToBoundCorrection=examples.FreeToBoundCorrection(False),
                chi2Cut=float("inf"),
                useJosephFormulation=False,
                level=level,
            ),
            calibrator=examples.makePassThroughCalibrator(),
            linkForward=False,
            referenceSurface=acts.Surface.createPerigee(acts.Vector3(0, 0, 0)),
        )
    )


def results(found: list[tuple[Ints, Floats, Floats]], done: Callable[[], None], level: Any) -> Any:
    """Return an algorithm that appends of each event's fits a hit, the values and the errors."""
    examples = acts_module().examples

    class Results(examples.IAlgorithm):  # type: ignore[name-defined]
        """Read the fitted tracks of each event."""

        def __init__(self) -> None:
            examples.IAlgorithm.__init__(self, "Results", level)
            self.tracks = examples.ReadDataHandle(self, examples.ConstTrackContainer, "tracks")
            self.tracks.initialize("fitted_tracks")

        def execute(self, context: Any) -> Any:
            tracks = self.tracks(context.eventStore)
            values = np.array(tracks.parameters, dtype=np.float64).reshape(-1, 6)[:, :5]
            errors = np.array(tracks.covariance, dtype=np.float64).reshape(-1, 6, 6)
            # Which of the tracks that went in it is, a hit says: those that failed are not there.
            rows = np.array([first_hit(track) for track in tracks], dtype=np.int64)
            found.append((rows, values, np.sqrt(errors[:, range(5), range(5)])))
            done()
            return examples.ProcessCode.SUCCESS

    return Results()


def first_hit(track: Any) -> int:
    """Return a hit of a fitted track, by its number in the event."""
    source = acts_module().examples.IndexSourceLink
    for state in track.trackStatesReversed:
        if state.hasUncalibratedSourceLink:
            return int(source.fromSourceLink(state.uncalibratedSourceLink).index())
    raise AssertionError("a fit without hits")


def true_values(
    hits: TrackerHits, tracks: Ints, event: Ints, label: Ints
) -> tuple[Floats, Ints, NDArray[np.bool_]]:
    """Return the parameters (K, 5) of the particle (K,) of most hits, and whether it is primary."""
    count = len(event)
    made = hits.particles
    if hits.particle is None or made is None or not count:
        return np.full((count, 5), np.nan), np.zeros(count, dtype=np.int64), np.zeros(count, bool)
    rows = hits.particle_rows()
    on = hits.particle != NOISE
    most = int(tracks.max(initial=0)) + 1
    pairs, counts = np.unique(
        np.stack([hits.event[on] * most + tracks[on], rows[on]]), axis=1, return_counts=True
    )
    # Of equal ones the first that the particles have.
    best = np.lexsort((pairs[1], -counts, pairs[0]))
    first = best[np.r_[True, np.diff(pairs[0][best]) > 0]] if len(best) else best
    keys, owners = pairs[0][first], pairs[1][first]
    wanted = event * most + label
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    known = keys[place] == wanted if len(keys) else np.zeros(count, dtype=bool)
    row = np.where(known, owners[place], 0) if len(keys) else np.zeros(count, dtype=np.int64)
    pt = made.pt
    # Of what is born near the beam, where a path is straight; of others no perigee is known here.
    near = np.where(np.hypot(made.vx, made.vy) < STRAIGHT, 1.0, np.nan)
    true = np.stack(
        [
            near * (made.vy * made.px - made.vx * made.py) / pt,
            near * (made.vz - (made.vx * made.px + made.vy * made.py) / pt * made.pz / pt),
            made.phi,
            np.arctan2(pt, made.pz),
            made.charge / np.hypot(pt, made.pz),
        ],
        axis=1,
    )
    return (
        np.where(known[:, None], true[row], np.nan),
        np.where(known, made.id[row], NOISE),
        known & made.primary[row],
    )
