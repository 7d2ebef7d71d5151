"""Certification of data quality: tests of a run's monitors, calibrated on good runs of the past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.method import Method
from colliderkit.methods.operations.beta_binomial import BetaBinomial
from colliderkit.methods.operations.joint import Combination, Joint
from colliderkit.methods.operations.measured import Measured
from colliderkit.methods.operations.principal import Principal
from colliderkit.methods.operations.sections import Reconstruction, Sections
from colliderkit.methods.operations.timing import Means
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.metrics.p_values import benjamini_hochberg
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.training.settings import Training

__all__ = ["Certificates", "Certification", "Test"]

Test = BetaBinomial | Principal | Sections | Means | Reconstruction
NAMES = ("beta-binomial", "pca", "sections", "means", "autoencoder")
PIECE = 32  # runs that are measured at a time
EMPTY = 1e300  # the statistics of a monitor without any entry
TAIL, LONGEST = 0.02, 200_000  # the share and number of good bins whose values are kept


@dataclass(frozen=True)
class Certificates:
    """Say of R runs whether they are good, why not, where and when.

    - `run` (R,); `p` (R,), joint, and `flagged` (R,), those with p at most the rate;
    - `names` (m,), `statistics` and `p_values` (R, m) of each test; `leading` (R,), the test with
      the smallest; where several are equal, one that knows the sections comes first;
    - `monitor` (R,) of it and `place` (R,): its worst bin, counted through the axes;
    - `bins` {test: (R, bins)}: what Benjamini-Hochberg rejects of each run, bin by bin;
    - `alarms` {test: (T,)}: of tests by sections, whether the stretch that ends with a section is
      above the cut of the test's share, which is known online when the section ends;
    - `lost` (T,): sections that are not to be used, `offsets` (R + 1,) the rows of each run, with
      `section` and `luminosity` (T,).
    """

    run: Ints
    p: Floats
    flagged: NDArray[np.bool_]
    names: list[str]
    statistics: Floats
    p_values: Floats
    leading: Ints
    monitor: list[str]
    place: Ints
    bins: dict[str, NDArray[np.bool_]]
    alarms: dict[str, NDArray[np.bool_]]
    lost: NDArray[np.bool_]
    offsets: Ints
    section: Ints
    luminosity: Floats

    def __len__(self) -> int:
        return len(self.run)

    def golden(self) -> dict[str, list[list[int]]]:
        """Return the good lumi sections as ranges [first, last] by run: a golden JSON."""
        ranges: dict[str, list[list[int]]] = {}
        for r, run in enumerate(self.run):
            mine = slice(self.offsets[r], self.offsets[r + 1])
            good = self.section[mine][~self.lost[mine]]
            parts = np.split(good, np.flatnonzero(np.diff(good) > 1) + 1)
            if len(good):
                ranges[str(run)] = [[int(part[0]), int(part[-1])] for part in parts]
        return ranges

    def lost_luminosity(self) -> Floats:
        """Return the luminosity of the sections of each run that are lost, (R,)."""
        lost: Floats = np.add.reduceat(self.luminosity * self.lost, self.offsets[:-1])
        return lost


class Certification(Method):
    """Certify runs of a detector by their monitors, against good runs of the past.

    The tests learn from the earliest good runs and are calibrated on later ones, which no test
    has seen: each has a p-value by its rank there, and all together one with the joint rate of
    false alarms that was asked for (see `Joint`). The tests of all monitors are

    - "beta-binomial": pulls and chi2 against reference runs (2501.13789);
    - "pca": what a few patterns of good runs do not make up;
    - "sections": losses of lumi sections, corrected by good ones and multiplied over time;
    - "means": means, such as times;
    - "autoencoder": the losses of a network, with the same corrections (2309.10157).

    Args:
        tests: which of these; those by sections and the network look at maps of two axes alone.
        rate: the share of good runs that is flagged.
        combination: of the tests: the "smallest" p-value, or "fisher".
        learning: the share of the runs, the earliest, that tests learn from.
        references: runs that are compared with, the last of these.
        tolerance: relative, of a bin of a reference.
        components: patterns of the PCA.
        window: lumi sections that losses are multiplied over.
        discovery: the share of false ones among the bins that are named (Benjamini-Hochberg).
        latent: numbers that the network makes a map of.
        training: of the network: epochs, batch size, learning rate and the like.

    After `fit`: `tests_`, `joint_` (`Joint`), `tails_` and `pooled_` (the largest values of good
    bins of each test, and among how many), `shapes_` of the monitors, and `first_`, `last_`, the
    runs from and to which was learned.
    """

    name: ClassVar[str] = "certification"
    resumable: ClassVar[bool] = True

    tests_: list[Test]
    joint_: Joint
    tails_: list[Floats]
    pooled_: list[int]
    shapes_: dict[str, list[int]]
    first_: int
    last_: int

    def __init__(
        self,
        *,
        tests: Sequence[str] = ("beta-binomial", "pca", "sections", "means"),
        rate: float = 0.05,
        combination: Combination = "smallest",
        learning: float = 0.4,
        references: int = 8,
        tolerance: float = 0.01,
        components: int = 4,
        window: int = 3,
        discovery: float = 0.1,
        latent: int = 8,
        training: Training = Training(epochs=30, batch_size=64, learning_rate=2e-3),
    ) -> None:
        self.tests = tests
        self.rate = rate
        self.combination = combination
        self.learning = learning
        self.references = references
        self.tolerance = tolerance
        self.components = components
        self.window = window
        self.discovery = discovery
        self.latent = latent
        self.training = training

    def fit(
        self,
        runs: MonitorRuns,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from good runs, the earliest, and calibrate on the later ones; return self.

        Checkpoints of the network go to `folder`, from which `resume` goes on. Raises `InputError`
        for runs that are labelled bad, too few to calibrate the rate, references without entries,
        a test that is not there and weights: a p-value counts runs.
        """
        self._begin(seed=seed, folder=folder, resume=resume, runs=runs)
        if weight is not None:
            raise InputError("weights are not taken: a p-value counts good runs; leave them out.")
        for name in self.tests:
            if name not in NAMES:
                raise InputError(f"test '{name}' is unknown; choose of {', '.join(NAMES)}.")
        check_finite(runs)
        if runs.good is not None and not runs.good.all():
            bad = runs.run[~runs.good]
            raise InputError(
                f"{len(bad)} of the runs are labelled bad, the first is {bad[0]}; learn from good"
                " ones alone."
            )
        empty = [run for run, n in zip(runs.run, np.diff(runs.offsets), strict=True) if n == 0]
        if empty:
            raise InputError(f"run {empty[0]} has no lumi sections; leave it out.")
        for name in runs.counts:
            if (dark := empty_runs(runs, name)).any():
                first = runs.run[int(np.argmax(dark))]
                raise InputError(
                    f"monitor '{name}' has no entries in run {first}, which is no good run; leave"
                    " the run or the monitor out."
                )
        learned = int(self.learning * len(runs))
        early, late = runs.at(slice(0, learned)), runs.at(slice(learned, None))
        if learned < 2:
            raise InputError(
                f"{len(runs)} runs leave {learned} to learn from; give more, or raise learning."
            )
        tail = {"seed": derive(seed, "network"), "progress": progress}
        tests = list(self._learned(early, tail, None if folder is None else Path(folder), resume))
        if not tests:
            raise InputError(
                f"no monitor of {', '.join(runs.shapes())} is one that the tests"
                f" {', '.join(self.tests)} take; choose other tests."
            )
        names = [name for test in tests for name in test.names]
        statistics: list[Floats] = []
        tails: list[list[Floats]] = [[] for _ in tests]
        pooled = [0] * len(tests)
        for measured in pieces(tests, late, progress):
            statistics.append(np.concatenate([m.statistics for m in measured], axis=1))
            for i, each in enumerate(measured):
                filled = each.bins[each.bins > 0]
                pooled[i] += len(filled)
                most = min(int(TAIL * len(filled)) + 1, len(filled))
                tails[i].append(np.partition(filled, -most)[-most:] if most else filled)
        self.joint_ = Joint(names, np.concatenate(statistics), self.rate, self.combination)
        self.tests_, self.pooled_ = tests, pooled
        self.tails_ = [
            joined_tail(parts, count) for parts, count in zip(tails, pooled, strict=True)
        ]
        self.shapes_ = {name: list(shape) for name, shape in runs.shapes().items()}
        self.first_, self.last_ = int(runs.run[0]), int(runs.run[-1])
        return self

    def certify(self, runs: MonitorRuns, *, progress: bool = False) -> Certificates:
        """Judge later runs: flags with reasons and places, and the lumi sections to be lost.

        Of a run that is flagged the sections of the stretches are lost in which a test by sections
        is above the cut of its share, if such a test has the smallest p-value; else all of it.
        A run with an empty monitor is as far off as can be.
        Raises `InputError` for runs that are not later than those that were learned from, other
        bins, and values that are not finite.
        """
        self._check(runs)
        rows = [list(self._judged(part)) for part in self._measured(runs, progress)]
        statistics, places, bins, windows = (
            [np.concatenate(x) for x in zip(*column, strict=True)] if i else column
            for i, column in enumerate(zip(*rows, strict=True))
        )
        every = np.concatenate(list(statistics))
        owners = [test for test in self.tests_ for _ in test.names]
        for j, owner in enumerate(owners):  # nothing at all is as bad as can be
            every[empty_runs(runs, owner.monitor), j] = EMPTY
        p_values, p = self.joint_.each(every), self.joint_.combined(every)
        flagged = p <= self.rate
        # A test that knows the sections wins a tie.
        handicap = np.array([not isinstance(o, Sections | Reconstruction) for o in owners]) * 1e-9
        leading = np.argmin(p_values + handicap, axis=1)
        which = [self.tests_.index(owner) for owner in owners]
        place = np.stack(places, axis=1)[np.arange(len(runs)), np.array(which)[leading]]
        cuts = dict(zip(self.joint_.names, self.joint_.cuts(), strict=True))
        alarms = {
            test.names[0]: window >= cuts[test.names[0]]
            for test, window in zip(self.tests_, windows, strict=True)
            if isinstance(test, Sections | Reconstruction)
        }
        lost = self._lost(runs, flagged, leading, alarms)
        return Certificates(
            runs.run,
            p,
            flagged,
            self.joint_.names,
            every,
            p_values,
            leading,
            [owners[i].monitor for i in leading],
            place,
            {test.names[0]: found for test, found in zip(self.tests_, bins, strict=True)},
            alarms,
            lost,
            runs.offsets,
            runs.section,
            runs.luminosity,
        )

    def maps(self, runs: MonitorRuns) -> dict[str, Floats]:
        """Return what each test says of the bins of its monitor, {test: (R, ...)}."""
        self._check(runs, past=True)
        maps = {}
        for i, test in enumerate(self.tests_):
            parts = [part[i] for part in self._measured(runs, False)]
            values = np.concatenate([m.bins if m.signed is None else m.signed for m in parts])
            maps[test.names[0]] = values.reshape(len(runs), *self.shapes_[test.monitor])
        return maps

    def bin_p_values(self, test: int, values: Floats) -> Floats:
        """Return p-values of bins by their rank among good bins of a test, 1 if not in its tail."""
        tail = self.tails_[test]
        above = len(tail) - np.searchsorted(tail, values, "left")
        inside = (above < len(tail)) & (values > 0)
        p: Floats = np.where(inside, (above + 1) / (self.pooled_[test] + 1), 1.0)
        return p

    def _learned(
        self, early: MonitorRuns, tail: dict[str, Any], folder: Path | None, resume: bool
    ) -> Iterator[Test]:
        for name, values in early.counts.items():
            flat = values.ndim == 2
            if "beta-binomial" in self.tests:
                yield BetaBinomial.learned(
                    early, name, count=self.references, tolerance=self.tolerance
                )
            if "pca" in self.tests:
                yield Principal.learned(early, name, components=self.components)
            if "sections" in self.tests and not flat:
                yield Sections.learned(early, name, window=self.window)
            if "autoencoder" in self.tests and not flat:
                network = Autoencoder(
                    representation="map", latent=self.latent, training=self.training
                )
                where = {} if folder is None else {"folder": folder / name, "resume": resume}
                args = {"window": self.window, **tail, **where}
                yield Reconstruction.learned(early, name, network, **args)
        for name in early.means if "means" in self.tests else ():
            yield Means.learned(early, name)

    def _measured(self, runs: MonitorRuns, progress: bool) -> Iterator[list[Measured]]:
        yield from pieces(self.tests_, runs, progress)

    def _judged(self, measured: list[Measured]) -> Iterator[Any]:
        """Yield of a piece of runs: statistics; of each test its worst bins, bins, sections."""
        yield np.concatenate([m.statistics for m in measured], axis=1)
        yield [m.bins.argmax(1) for m in measured]
        yield [
            benjamini_hochberg(self.bin_p_values(i, m.bins), self.discovery)
            for i, m in enumerate(measured)
        ]
        yield [np.zeros(0) if m.sections is None else m.sections for m in measured]

    def _lost(
        self,
        runs: MonitorRuns,
        flagged: NDArray[np.bool_],
        leading: Ints,
        alarms: dict[str, NDArray[np.bool_]],
    ) -> NDArray[np.bool_]:
        """Return the sections (T,) that are not to be used."""
        lost = np.zeros(len(runs.section), dtype=bool)
        for r in np.flatnonzero(flagged):
            mine = slice(runs.offsets[r], runs.offsets[r + 1])
            ends = alarms.get(self.joint_.names[leading[r]], lost)[mine]
            over = np.zeros(len(ends), dtype=bool)
            for back in range(min(self.window, len(ends))):
                over[: len(over) - back] |= ends[back:]
            lost[mine] = over if over.any() else True
        return lost

    def _check(self, runs: MonitorRuns, past: bool = False) -> None:
        shapes = self.shapes_  # first: not fitted is said before all else
        check_finite(runs)
        found = runs.shapes()
        for name, shape in shapes.items():
            if name not in found:
                raise InputError(
                    f"the runs have no monitor '{name}', which was learned from; they have"
                    f" {', '.join(found)}."
                )
            if list(found[name]) != shape:
                have, want = (" x ".join(map(str, s)) for s in (found[name], shape))
                raise InputError(
                    f"monitor '{name}' has {have} bins in run {runs.run[0]}, and {want} in the runs"
                    " that were learned from; certify runs of one binning, and fit anew for others."
                )
        early = runs.run <= self.last_
        if early.any() and not past:
            raise InputError(
                f"run {runs.run[int(np.argmax(early))]} is not later than run {self.last_}, the"
                " last that was learned from: references are of the past; give later runs."
            )


def pieces(tests: Sequence[Test], runs: MonitorRuns, progress: bool) -> Iterator[list[Measured]]:
    """Yield what the tests measure in the runs, some runs at a time."""
    with progress_bar(shown=progress) as bar:
        task = bar.add_task("runs", total=len(runs))
        for begin in range(0, len(runs), PIECE):
            part = runs.at(slice(begin, begin + PIECE))
            yield [test.measure(part) for test in tests]
            bar.advance(task, len(part))


def joined_tail(parts: Sequence[Floats], count: int) -> Floats:
    """Return the largest values of all parts, rising: those that no part has left out."""
    values = np.sort(np.concatenate(parts)) if parts else np.zeros(0)
    least = max((part.min() for part in parts if len(part)), default=0.0)
    kept = values[values >= least][-LONGEST:]
    assert count >= len(kept)
    return kept


def check_finite(runs: MonitorRuns) -> None:
    """Raise `InputError` for a value that is not finite, or a count below 0, by its run."""
    for name, values in {**runs.counts, **runs.means}.items():
        bad = ~np.isfinite(values)
        if name in runs.counts:
            bad |= values < 0
        if bad.any():
            row = int(np.argwhere(bad)[0][0])
            r = int(np.searchsorted(runs.offsets, row, "right")) - 1
            raise InputError(
                f"monitor '{name}' is {values[row][bad[row]].reshape(-1)[0]} in lumi section"
                f" {runs.section[row]} of run {runs.run[r]}; mend it or leave the section out."
            )


def empty_runs(runs: MonitorRuns, monitor: str) -> NDArray[np.bool_]:
    """Return in which runs (R,) a monitor, or the entries that a mean is of, has none."""
    counts = runs.counts[runs.entries_of(monitor) if monitor in runs.means else monitor]
    sections = counts.reshape(len(counts), -1).sum(1)
    empty: NDArray[np.bool_] = np.add.reduceat(sections, runs.offsets[:-1]) == 0
    return empty
