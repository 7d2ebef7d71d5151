"""Comparison of generated showers with Geant4: the CaloChallenge's measures (2410.21611).

The Geant4-against-Geant4 floor is a comparison of two Geant4 samples; no quantity means anything
without it, as all but a few are above zero by counting alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.features import Features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.files import release
from colliderkit.methods.method import Method
from colliderkit.methods.simulation.classifiers import (
    DEFAULT,
    PUBLISHED,
    ShowerClassifier,
    ShowerInputs,
    splits,
)
from colliderkit.methods.simulation.samples import DescribedShowers, refuse_shared
from colliderkit.methods.simulation.trees import tree_areas
from colliderkit.metrics.generative import (
    frechet_physics_distance,
    kernel_physics_distance,
    maximum_mean_discrepancy,
    nearest_distances,
    neighbours,
    unbiased_frechet_distance,
    unbiased_kernel_distance,
    wasserstein,
)
from colliderkit.metrics.roc import auc
from colliderkit.metrics.separation import TriangularDiscriminator
from colliderkit.metrics.showers import (
    RESPONSE,
    VOXELS,
    ShowerHistograms,
    histogram_edges,
    mean_separation,
    separations,
    shower_histograms,
)
from colliderkit.metrics.value import Value, over_seeds
from colliderkit.seeds import derive
from colliderkit.training.settings import Epoch, Training

__all__ = ["Classification", "ShowerComparison", "check_band"]

Floats = NDArray[np.float64]
FEWEST = 100  # showers of a band
PAIRS = 10_000  # showers of each sample whose distances to one another are computed


@dataclass(frozen=True)
class Classification:
    """What a classifier makes of T showers that it has not seen.

    - `auc`: on them, with DeLong's error and that of the seeds;
    - `label` (T,): 0 for the reference, 1 for the sample; `probability` (T,): of the sample,
      isotonically calibrated on the validation showers; `score` (T,): the first network's own;
    - `incident` (T,): the energies [MeV].
    """

    auc: Value
    label: NDArray[np.int64]
    probability: Floats
    score: Floats
    incident: Floats

    def within(self, low: float, high: float) -> Value:
        """Return the AUC of the first network on showers of these energies [MeV]."""
        here = (self.incident >= low) & (self.incident < high)
        return auc(self.score[here], self.label[here])


class ShowerComparison(Method):
    """Compare a sample of showers, such as a surrogate's, with a reference, such as Geant4's.

    - unbiased FPD and KPD, to be quoted, on the table of `features`, beside jetnet's FPD and KPD,
      whose errors are those of their draws from these events; MMD and the neighbours on it too,
      each column in units of the reference's standard deviation, on 10,000 showers of each;
    - the AUC of classifiers on showers that they have not seen: of the published networks, of the
      same network on the logarithms of the voxels ("AUC low-level-log") and, with `trees`, of
      boosted trees on the voxels ("AUC trees of E/E_inc", "of log10 E"); "AUC strongest" is that
      of the classifier with the largest AUC on the validation showers, which `strongest_` names:
      the one to be quoted, beside the published;
    - separation powers, the mean over the layers where there is one each;
    - with `training`, what the sample's model was fitted to: the probability that a shower of
      the sample is nearer to it than one of the reference, 0.5 for a model that copies none.

    Args:
        threshold: energies [MeV] below it count as zero, in both.
        levels: what the classifiers see, see `ShowerClassifier`: "low-level", "low-level-log",
            "high-level" or "3-D ResNet".
        classifier: how the classifiers are trained; as published if not given.
        width: of the classifiers' two hidden layers and the one before; 2048 is published.
        repetitions: trainings of each classifier, whose scatter enters the errors.
        standardised: give each of their inputs mean 0 and standard deviation 1 on the training
            showers. Published values are without; the same classifier then sees more.
        trees: train boosted trees too; their time is bounded by the showers that they see.
        bands: edges [MeV] of bands of incident energy that are compared too.

    After `fit`: `quantities_` by name, `bands_` the same of each band ("2 to 8 GeV");
    `strongest_`, the name of the strongest classifier, "" where there is none;
    `separations_` of each histogram; `classifications_` by level, `networks_` and `calibrations_`
    of their first training, and `history_` of all ("low-level, repetition 0"); `histograms_` of
    reference and sample in the bins `edges_`, `examples_`, a shower of each near the geometric
    mean of the incident energies, and `geometry_`. All of it is small, however many showers there
    are.
    """

    name: ClassVar[str] = "shower-comparison"

    geometry_: Geometry
    quantities_: dict[str, Value]
    bands_: dict[str, dict[str, Value]]
    strongest_: str
    separations_: dict[str, TriangularDiscriminator]
    classifications_: dict[str, Classification]
    networks_: dict[str, ShowerInputs]
    calibrations_: dict[str, tuple[Floats, Floats]]
    history_: dict[str, list[Epoch]]
    edges_: dict[str, Floats]
    histograms_: tuple[ShowerHistograms, ShowerHistograms]
    examples_: tuple[tuple[float, Floats], tuple[float, Floats]]

    def __init__(
        self,
        *,
        threshold: float = 0.0,
        levels: tuple[str, ...] = DEFAULT,
        classifier: Training = PUBLISHED,
        width: int = 512,
        repetitions: int = 1,
        standardised: bool = False,
        trees: bool = True,
        bands: tuple[float, ...] = (),
    ) -> None:
        self.threshold = threshold
        self.levels = levels
        self.classifier = classifier
        self.width = width
        self.repetitions = repetitions
        self.standardised = standardised
        self.trees = trees
        self.bands = bands

    def fit(
        self,
        reference: Showers,
        sample: Showers,
        geometry: Geometry,
        *,
        training: Showers | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Compare a sample with a reference and return self.

        `training`, what the sample's model was fitted to, must hold no shower of the reference.
        Showers may be memory maps: rows are read in pieces and given back. Raises `InputError`
        where showers do not fit the geometry or are no energies, or stand in both samples, and
        for weights: distances and their errors are those of counted showers.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        if weight is not None or any((s.weight != 1).any() for s in (reference, sample)):
            raise InputError(
                "weight cannot be honoured: the distances of samples and their errors are those of"
                " counted showers; draw showers without weights."
            )
        self._check(geometry)
        self.geometry_ = geometry
        ours, theirs = (
            DescribedShowers.checked(showers, name, geometry, self.threshold)
            for showers, name in ((reference, "reference"), (sample, "sample"))
        )
        refuse_shared(ours, theirs)
        for low, high in self._edges():  # before what takes long
            check_band((ours.showers.incident, theirs.showers.incident), low, high)
        self.edges_ = histogram_edges(geometry, self.threshold, ours.features, ours.highest())
        first, second = (
            shower_histograms(
                each.showers.voxels, each.features, geometry, self.threshold, self.edges_
            )
            for each in (ours, theirs)
        )
        self.histograms_ = first, second
        self.separations_ = separations(first, second)
        example = ours.example(float(np.exp(np.log(ours.showers.incident).mean())))
        self.examples_ = example, theirs.example(example[0])
        seen = None
        if training is not None:
            seen = DescribedShowers.checked(training, "training", geometry, self.threshold)
            refuse_shared(ours, seen)
        areas = self._classify((ours, theirs), progress)
        quantities = {f"AUC {name}": test for name, (_, test) in areas.items()}
        # By the validation showers: of several at 0.5 the largest on the test would lie above.
        self.strongest_ = max(areas, key=lambda name: float(areas[name][0]), default="")
        if areas:
            quantities["AUC strongest"] = areas[self.strongest_][1]
        quantities |= _distances((ours.table, theirs.table), seed)
        quantities |= _mean_separations(self.separations_)
        quantities[f"Wasserstein of {RESPONSE}"] = wasserstein(
            *(each.features.total / each.features.incident for each in (ours, theirs)), seed=seed
        )
        if seen is not None:
            quantities["nearer to the training"] = _nearer((ours.table, theirs.table), seen.table)
        self.quantities_ = quantities
        self.bands_ = {
            f"{low / 1e3:g} to {high / 1e3:g} GeV": self._within(
                (ours.features, theirs.features), low, high
            )
            for low, high in self._edges()
        }
        return self

    def probability(self, showers: Showers, *, level: str = "high-level") -> Floats:
        """Return P(sample | shower) of N showers, (N,).

        By the first classifier of that level, isotonically calibrated; with p of equally many
        showers of both, (1 - p) / p is the density of the reference over that of the sample.
        """
        if level not in self.networks_:
            known = ", ".join(self.networks_) or "none"
            raise InputError(f"no classifier '{level}' was fitted; choose from {known}.")
        described = DescribedShowers.checked(showers, "showers", self.geometry_, self.threshold)
        classifier = self._classifier(level)
        data = classifier.data([described], [np.arange(len(described))])
        score = classifier.logarithms(self.networks_[level], data).exp()[:, 1].double().numpy()
        return np.interp(score, *self.calibrations_[level])

    def _check(self, geometry: Geometry) -> None:
        if not self.threshold >= 0:
            raise InputError(f"the threshold is {self.threshold:g} MeV; it must be 0 or more.")
        for name in ("repetitions", "width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        edges = list(self.bands)
        if edges and (len(edges) < 2 or edges[0] < 0 or not (np.diff(edges) > 0).all()):
            raise InputError(
                f"bands is {edges}; give at least two rising energies in MeV, 0 or more."
            )
        for level in self.levels:
            self._classifier(level, geometry)

    def _edges(self) -> list[tuple[float, float]]:
        return list(zip(self.bands[:-1], self.bands[1:], strict=True))

    def _classifier(self, level: str, geometry: Geometry | None = None) -> ShowerClassifier:
        return ShowerClassifier(
            level, geometry or self.geometry_, self.threshold, self.classifier, self.width,
            self.standardised,
        )  # fmt: skip

    def _rebuild(self) -> None:
        self.networks_ = {level: self._classifier(level).network(2) for level in self.levels}

    def _classify(
        self, samples: Sequence[DescribedShowers], progress: bool
    ) -> dict[str, tuple[Value, Value]]:
        """Train all classifiers; return their AUC on validation and test showers by name.

        Sets what `fit` says of the networks.
        """
        self.classifications_, self.networks_, self.calibrations_ = {}, {}, {}
        self.history_ = {}
        found: dict[str, tuple[Value, Value]] = {}
        rows = splits(samples, self.seed_) if self.levels else []
        for level in self.levels:
            classifier = self._classifier(level)
            parts = [classifier.data(samples, [r[i] for r in rows]) for i in (1, 2)]
            labels = [part.target.numpy() for part in parts]
            areas: list[list[Value]] = [[], []]
            for repetition in range(self.repetitions):
                network, history = classifier.fit(
                    samples, rows, seed=derive(self.seed_, level, repetition), progress=progress
                )
                scores = [
                    classifier.logarithms(network, data).exp()[:, 1].double().numpy()
                    for data in parts
                ]
                for repeated, score, label in zip(areas, scores, labels, strict=True):
                    repeated.append(auc(score, label))
                self.history_[f"{level}, repetition {repetition}"] = history
                if repetition == 0:
                    self.networks_[level] = network
                    isotonic = IsotonicRegression(out_of_bounds="clip")
                    isotonic.fit(scores[0], labels[0])
                    curve = isotonic.X_thresholds_, isotonic.y_thresholds_
                    self.calibrations_[level] = curve[0].astype(float), curve[1].astype(float)
                    first = scores[1]
            found[level] = _over_repetitions(areas[0]), _over_repetitions(areas[1])
            incident = [
                sample.showers.incident[r[2]].astype(float)
                for sample, r in zip(samples, rows, strict=True)
            ]
            self.classifications_[level] = Classification(
                found[level][1],
                labels[1],
                np.interp(first, *self.calibrations_[level]),
                first,
                np.concatenate(incident),
            )
            for sample in samples:
                release(sample.showers.voxels)
        if self.trees and self.levels:
            trees = tree_areas(samples, rows, self.threshold, self.seed_)
            found |= {f"trees of {name}": pair for name, pair in trees.items()}
        return found

    def _within(self, both: Sequence[Features], low: float, high: float) -> dict[str, Value]:
        """Compare the showers with incident energies in [low, high) [MeV].

        The classifiers are those of all energies, on their test showers of these.
        """
        check_band([each.incident for each in both], low, high)
        here = [each.at((each.incident >= low) & (each.incident < high)) for each in both]
        response = [each.total / each.incident for each in here]
        quantities = {
            f"AUC {level}": each.within(low, high) for level, each in self.classifications_.items()
        }
        tables = [each.table() for each in here]
        quantities["unbiased FPD"] = unbiased_frechet_distance(*tables, seed=self.seed_)
        quantities["Wasserstein of " + RESPONSE] = wasserstein(*response, seed=self.seed_)
        mean, error = zip(*((r.mean(), r.std() / np.sqrt(len(r))) for r in response), strict=True)
        ratio = mean[1] / mean[0]
        quantities["ratio of mean " + RESPONSE] = Value(
            float(ratio), float(ratio * np.hypot(error[0] / mean[0], error[1] / mean[1]))
        )
        return quantities


def check_band(incident: Sequence[NDArray[Any]], low: float, high: float) -> int:
    """Return the fewest showers of a sample in [low, high) [MeV]; `InputError` if under 100."""
    few = min(int(((e >= low) & (e < high)).sum()) for e in incident)
    if few < FEWEST:
        raise InputError(
            f"the band of {low:g} to {high:g} MeV has {few} showers of one sample; make it wider,"
            f" {FEWEST} are needed."
        )
    return few


def _over_repetitions(areas: Sequence[Value]) -> Value:
    """Return the mean AUC, with the error of counting and that of the trainings."""
    mean, _, error = over_seeds(areas)
    counting = float(np.mean([area.error for area in areas]))
    return Value(mean, counting if len(areas) == 1 else float(np.hypot(error, counting)))


def _distances(tables: Sequence[Floats], seed: int) -> dict[str, Value]:
    few = [
        t[np.random.default_rng(derive(seed, "distances")).permutation(len(t))[:PAIRS]]
        for t in tables
    ]
    mean, std = _scale(tables[0])
    few = [(table - mean) / std for table in few]
    smaller = min(map(len, tables))
    block = max(2, min(1000, smaller // 16))
    return {
        "unbiased FPD": unbiased_frechet_distance(*tables, seed=seed),
        "unbiased KPD": unbiased_kernel_distance(*tables, seed=seed),
        "FPD": frechet_physics_distance(*tables, fewest=10_000),
        # Half of a sample at most: the batches must differ for their spread to be the error.
        "KPD": kernel_physics_distance(*tables, size=min(10_000, smaller // 2)),
        "MMD": maximum_mean_discrepancy(*few, block=block),
        **neighbours(*few)._asdict(),
    }


def _nearer(tables: Sequence[Floats], among: Floats) -> Value:
    """Return P(a shower of the sample is nearer to the training than one of the reference)."""
    mean, std = _scale(among)
    distances = [nearest_distances((t[:PAIRS] - mean) / std, (among - mean) / std) for t in tables]
    label = np.repeat([0, 1], [len(d) for d in distances])
    return auc(-np.concatenate(distances), label)


def _scale(table: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each column, 1 where it is constant."""
    mean, std = table.mean(0), table.std(0)
    return mean, np.where(std > 1e-9 * np.abs(mean), std, 1)


def _mean_separations(each: Mapping[str, TriangularDiscriminator]) -> dict[str, Value]:
    """Return the separation powers of the published histograms, means over the layers."""
    means = {f"separation of {name}": each[name].value for name in (RESPONSE, VOXELS)}
    for title, words in (
        ("layer energies", ("E",)),
        ("centres", ("centre eta", "centre phi", "centre r")),
        ("widths", ("width eta", "width phi", "width r")),
        ("sparsity", ("sparsity",)),
    ):
        means[f"separation of {title}"] = mean_separation(each, words)
    return means
