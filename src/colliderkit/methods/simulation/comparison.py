"""How like two samples of showers are: the complete figures of the CaloChallenge (2410.21611).

The Geant4-against-Geant4 floor is a comparison of two Geant4 samples; no figure means anything
without it, as all but a few are above zero by counting alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.features import ROWS, Features, features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.scaling import Standardise
from colliderkit.files import release
from colliderkit.losses.classification import cross_entropy
from colliderkit.metrics.generative import (
    frechet_physics_distance,
    kernel_physics_distance,
    maximum_mean_discrepancy,
    nearest_distances,
    neighbours,
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
from colliderkit.networks.mlp import MLP
from colliderkit.networks.voxel_resnet import VoxelResNet
from colliderkit.training.batches import Batch, Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Training

__all__ = ["Classification", "Comparison", "ShowerTest", "check_band"]

Floats = NDArray[np.float64]
Sample = tuple[NDArray[Any], NDArray[Any]]  # incident energies (N,) and showers (N, V), MeV
PUBLISHED = Training(epochs=50, batch_size=1000, learning_rate=2e-4, schedule="constant")
SHARES = (0.6, 0.2)  # of each class to train on and to choose the epoch by; the rest is the test
ENOUGH = 20_000  # showers that means and standard deviations are taken from
FEWEST = 100  # showers of a band
PAIRS = 10_000  # showers of each sample whose distances to one another are computed
ONE, TWO = "reference", "sample"


@dataclass(frozen=True)
class Classification:
    """Hold what a classifier makes of T showers that it has not seen.

    - `auc`: on them, with DeLong's error and that of the seeds;
    - `label` (T,): 0 for the reference, 1 for the sample; `probability` (T,): of the sample,
      isotonically calibrated on the validation showers; `score` (T,): the first network's own;
    - `incident` (T,): the energies [MeV]; `histories`: of each training.
    """

    auc: Value
    label: NDArray[np.int64]
    probability: Floats
    score: Floats
    incident: Floats
    histories: list[list[Epoch]] = field(repr=False)

    def within(self, low: float, high: float) -> Value:
        """Return the AUC of the first network on showers of these energies [MeV]."""
        here = (self.incident >= low) & (self.incident < high)
        return auc(self.score[here], self.label[here])


@dataclass(frozen=True)
class Comparison:
    """Hold all that is known of a sample beside its reference.

    `figures` by name; `separations` of each histogram; `classifiers` by level; `spectra` of
    reference and sample, and the `features` that they are of.
    """

    figures: dict[str, Value]
    separations: dict[str, TriangularDiscriminator]
    classifiers: dict[str, Classification]
    edges: dict[str, Floats]
    spectra: tuple[ShowerHistograms, ShowerHistograms]
    features: tuple[Features, Features] = field(repr=False)


class ShowerTest:
    """Compare samples of showers with a reference.

    Args:
        geometry: of all showers.
        threshold: energies [MeV] below it count as zero, in both.
        classifier: how the classifiers are trained; as published if not given.
        seed: of splits, initial weights and draws.
        width: of the classifiers' two hidden layers and the one before; 2048 is published.
        repetitions: trainings of each classifier, whose scatter enters the errors.
        levels: what the classifiers see: "low-level", log10 E_inc and the voxels over E_inc;
            "high-level", the table of `features`; "3-D ResNet" convolves what is low-level, of
            geometries whose layers are all alike, at some hundred times the cost.
        standardised: give each of these inputs mean 0 and standard deviation 1 on the training
            showers. Published figures are without; the same classifier then sees more.
    """

    def __init__(
        self,
        geometry: Geometry,
        threshold: float,
        *,
        classifier: Training = PUBLISHED,
        seed: int = 0,
        width: int = 512,
        repetitions: int = 1,
        levels: Sequence[str] = ("low-level", "high-level"),
        standardised: bool = False,
    ) -> None:
        if not threshold >= 0:
            raise InputError(f"the threshold is {threshold:g} MeV; it must be 0 or more.")
        if repetitions < 1 or width < 1:
            raise InputError(f"repetitions {repetitions} and width {width} must be at least 1.")
        for level in levels:
            if level not in LEVELS:
                raise InputError(f"no classifier '{level}'; choose from {', '.join(LEVELS)}.")
        if "3-D ResNet" in levels:
            _ = geometry.shape  # of equal layers, or that is said
        self.geometry = geometry
        self.threshold = threshold
        self.classifier = classifier
        self.seed = seed
        self.width = width
        self.repetitions = repetitions
        self.levels = tuple(levels)
        self.standardised = standardised

    def figures(
        self,
        reference: Sample,
        sample: Sample,
        *,
        training: Sample | None = None,
        progress: bool = True,
    ) -> dict[str, Value]:
        """Return the figures by name; see `compare`."""
        return self.compare(reference, sample, training=training, progress=progress).figures

    def compare(
        self,
        reference: Sample,
        sample: Sample,
        *,
        training: Sample | None = None,
        progress: bool = True,
    ) -> Comparison:
        """Compare two samples, (incident energies (N,), showers (N, V)) in MeV each.

        - FPD and KPD on the table of `features`; MMD and the neighbours on it too, each column in
          units of the reference's standard deviation, on 10,000 showers of each;
        - the AUC of classifiers on showers that they have not seen;
        - separation powers, the mean over the layers where there is one each;
        - with `training`, what the sample's model was fitted to: the probability that a shower of
          the sample is nearer to it than one of the reference, .5 for a model that copies none.
          It must hold no shower of the reference.

        Showers may be memory maps: rows are read in pieces and given back. Raises `InputError`
        where showers do not fit the geometry or are no energies, or stand in both samples.
        """
        found = self._features(reference, ONE), self._features(sample, TWO)
        keys = tuple(_keys(f) for f in found)
        _refuse_shared(keys[0], keys[1])
        tables = tuple(f.table() for f in found)
        highest = _highest(reference[1])
        edges = histogram_edges(self.geometry, self.threshold, found[0], highest)
        first, second = (
            shower_histograms(showers, f, self.geometry, self.threshold, edges)
            for (_, showers), f in zip((reference, sample), found, strict=True)
        )
        apart = separations(first, second)
        seen = None if training is None else self._class(training, "training")
        if seen is not None:
            _refuse_shared(keys[0], seen.key, (ONE, "training"))
        classifiers = {}
        for level in self.levels:
            classes = [
                _Class(s, table, key)
                for s, table, key in zip((reference, sample), tables, keys, strict=True)
            ]
            classifiers[level] = self._classify(level, classes, progress)
        figures = {f"AUC {level}": found.auc for level, found in classifiers.items()}
        figures |= self._distances(tables)
        figures |= _summary(apart)
        figures["Wasserstein of " + RESPONSE] = wasserstein(
            *(f.total / f.incident for f in found), seed=self.seed
        )
        if seen is not None:
            figures["nearer to the training"] = _nearer(tables, seen.table)
        return Comparison(figures, apart, classifiers, edges, (first, second), found)

    def within(self, comparison: Comparison, low: float, high: float) -> dict[str, Value]:
        """Return the figures of the showers with incident energies in [low, high) [MeV].

        The classifiers are those of all energies, on their test showers of these.
        """
        few = check_band([f.incident for f in comparison.features], low, high)
        here = tuple(f.at((f.incident >= low) & (f.incident < high)) for f in comparison.features)
        response = [f.total / f.incident for f in here]
        figures = {
            f"AUC {level}": found.within(low, high)
            for level, found in comparison.classifiers.items()
        }
        tables = [f.table() for f in here]
        figures["FPD"] = frechet_physics_distance(*tables, fewest=few // 4, most=few)
        figures["Wasserstein of " + RESPONSE] = wasserstein(*response, seed=self.seed)
        mean, error = zip(*((r.mean(), r.std() / np.sqrt(len(r))) for r in response), strict=True)
        ratio = mean[1] / mean[0]
        figures["ratio of mean " + RESPONSE] = Value(
            float(ratio), float(ratio * np.hypot(error[0] / mean[0], error[1] / mean[1]))
        )
        return figures

    def log_posterior(
        self,
        models: Mapping[str, Sample],
        reference: Sample,
        *,
        level: str = "low-level",
        progress: bool = True,
    ) -> dict[str, Value]:
        """Return the mean of ln P(model | shower) over the showers of the reference, by model.

        One classifier tells the models' samples apart, and says of each Geant4 shower whose it
        might be (2410.21611): higher is better, by chance it is -ln of the number of models.
        """
        if len(models) < 2:
            raise InputError("a log-posterior compares models; give two at least.")
        given = {name: self._class(sample, name) for name, sample in models.items()}
        last = self._class(reference, ONE)
        for (name, one), (other, two) in combinations([*given.items(), (ONE, last)], 2):
            _refuse_shared(one.key, two.key, (name, other))
        network, _, _ = self._trained(level, list(given.values()), self.seed, progress)
        data = self._data(level, [last], [np.arange(len(last.key))])
        logarithm = torch.log_softmax(predict(network, data, self.classifier.batch_size), 1)
        release(reference[1])
        mean = logarithm.double().mean(0)
        error = logarithm.double().std(0) / len(last.key) ** 0.5
        return {
            name: Value(float(m), float(e)) for name, m, e in zip(models, mean, error, strict=True)
        }

    def _features(self, sample: Sample, name: str) -> Features:
        incident, showers = np.asarray(sample[0]).reshape(-1), sample[1]
        if len(incident) != len(showers):
            raise InputError(
                f"the {name} has {len(incident)} incident energies for {len(showers)} showers."
            )
        if len(showers) == 0:
            raise InputError(f"the {name} holds no showers.")
        parts = []
        for start in range(0, len(showers), ROWS):
            rows = slice(start, start + ROWS)
            self.geometry.check(showers[rows], name, start)
            parts.append(features(showers[rows], incident[rows], self.geometry, self.threshold))
            release(showers)
        return Features.concatenated(parts)

    def _class(self, sample: Sample, name: str) -> "_Class":
        found = self._features(sample, name)
        return _Class(sample, found.table(), _keys(found))

    def _distances(self, tables: Sequence[Floats]) -> dict[str, Value]:
        mean, std = tables[0].mean(0), tables[0].std(0)
        std = np.where(std > 1e-9 * np.abs(mean), std, 1)
        few = [
            (t[np.random.default_rng(self.seed).permutation(len(t))[:PAIRS]] - mean) / std
            for t in tables
        ]
        near = neighbours(*few)
        smaller = min(map(len, tables))
        block = max(2, min(1000, smaller // 16))
        return {
            "FPD": frechet_physics_distance(*tables, fewest=10_000),
            # Half of a sample at most: the batches must differ for their spread to be the error.
            "KPD": kernel_physics_distance(*tables, size=min(10_000, smaller // 2)),
            "MMD": maximum_mean_discrepancy(*few, block=block),
            **near._asdict(),
        }

    def _classify(self, level: str, classes: "Sequence[_Class]", progress: bool) -> Classification:
        areas, histories = [], []
        first: tuple[NDArray[np.int64], Floats, Floats, Floats] | None = None
        for repetition in range(self.repetitions):
            network, (_, validation, test), history = self._trained(
                level, classes, self.seed + 1000 * repetition, progress
            )
            held, unseen = (
                (torch.softmax(predict(network, data, self.classifier.batch_size), 1)[:, 1], data)
                for data in (validation, test)
            )
            score, label = unseen[0].double().numpy(), unseen[1].target.numpy()
            areas.append(auc(score, label))
            histories.append(history)
            if first is None:
                calibration = IsotonicRegression(out_of_bounds="clip").fit(
                    held[0].double().numpy(), held[1].target.numpy()
                )
                incident = np.concatenate(
                    [
                        np.asarray(c.sample[0], np.float64).reshape(-1)[rows[2]]
                        for c, rows in zip(classes, self._splits(classes), strict=True)
                    ]
                )
                first = label, calibration.predict(score), score, incident
        for c in classes:
            release(c.sample[1])
        mean, _, error = over_seeds(areas)
        counting = float(np.mean([a.error for a in areas]))
        total = counting if len(areas) == 1 else float(np.hypot(error, counting))
        assert first is not None
        return Classification(Value(mean, total), *first, histories)

    def _trained(
        self, level: str, classes: "Sequence[_Class]", seed: int, progress: bool
    ) -> tuple[nn.Module, list[Dataset], list[Epoch]]:
        """Return a network, its training, validation and test showers, and its history."""
        splits = self._splits(classes)
        sets = [self._data(level, classes, [s[i] for s in splits]) for i in range(3)]
        torch.manual_seed(seed)
        model = self._model(level, classes, sets[0])
        history = fit(
            model,
            cross_entropy,
            sets[0],
            sets[1],
            self.classifier,
            seed=seed,
            title=f"classifier, {level}",
            progress=progress,
        )
        return model, sets, history

    def _model(self, level: str, classes: "Sequence[_Class]", train: Dataset) -> nn.Module:
        voxels = level != "high-level"
        inputs = self.geometry.voxels + 1 if voxels else classes[0].table.shape[1]
        network: nn.Module
        if level == "3-D ResNet":
            network = VoxelResNet(self.geometry.shape, len(classes))
        else:
            network = MLP(inputs, len(classes), hidden=(self.width,) * 3, leak=0.01)
        scaling = Standardise(inputs) if self.standardised else nn.Identity()
        model = _Seen(self.threshold if voxels else None, scaling, network)
        if isinstance(scaling, Standardise):
            batch = train.batch(torch.randperm(len(train))[:ENOUGH])
            scaling.fit(model.inputs(batch.values, batch.context))
        return model

    def _splits(self, classes: "Sequence[_Class]") -> list[list[NDArray[np.int64]]]:
        """Return the rows to train on, to validate and to test with, of each class.

        Copies of one shower within a class stay together.
        """
        found = []
        for number, each in enumerate(classes):
            different, group = np.unique(each.key, return_inverse=True)
            random = np.random.default_rng([self.seed, number])
            place = random.permutation(len(different))[group.reshape(-1)] / len(different)
            ends = np.cumsum(SHARES)
            parts = [
                np.flatnonzero((place >= low) & (place < high))
                for low, high in ((0, ends[0]), (ends[0], ends[1]), (ends[1], 1))
            ]
            if min(map(len, parts)) == 0:
                raise InputError(
                    f"a classifier needs 5 different showers of each sample at least; sample"
                    f" {number} has {len(different)}."
                )
            found.append(parts)
        return found

    def _data(
        self, level: str, classes: "Sequence[_Class]", rows: Sequence[NDArray[np.int64]]
    ) -> Dataset:
        target = torch.from_numpy(np.repeat(np.arange(len(rows)), [len(r) for r in rows]))
        weight = torch.ones(len(target))
        if level == "high-level":
            tables = [c.table[r].astype(np.float32) for c, r in zip(classes, rows, strict=True)]
            return Dataset(torch.from_numpy(np.concatenate(tables)), target, weight)
        place = torch.stack([target, torch.from_numpy(np.concatenate(rows))], 1)
        incident = np.concatenate(
            [
                np.asarray(c.sample[0], dtype=np.float32).reshape(-1)[r]
                for c, r in zip(classes, rows, strict=True)
            ]
        )
        showers = tuple(c.sample[1] for c in classes)
        return _Rows(place, target, weight, torch.from_numpy(incident)[:, None], showers)


def check_band(incident: Sequence[NDArray[Any]], low: float, high: float) -> int:
    """Return the fewest showers of a sample in [low, high) [MeV]; `InputError` if under 100."""
    few = min(int(((e >= low) & (e < high)).sum()) for e in incident)
    if few < FEWEST:
        raise InputError(
            f"the band of {low:g} to {high:g} MeV has {few} showers of one sample; make it wider,"
            f" {FEWEST} are needed."
        )
    return few


LEVELS = ("low-level", "high-level", "3-D ResNet")


@dataclass(frozen=True)
class _Class:
    """Hold a sample with its table of features and a key of each shower."""

    sample: Sample
    table: Floats
    key: NDArray[np.int64]


@dataclass(frozen=True)
class _Rows(Dataset):
    """Gather batches from the rows of several arrays, which are neither joined nor copied.

    `inputs` (N, 2) are the number of the array and of the row.
    """

    arrays: tuple[NDArray[Any], ...] = ()

    def batch(self, events: Tensor, longest: int | None = None) -> Batch:
        assert isinstance(self.inputs, Tensor)
        assert self.context is not None
        array, row = self.inputs[events].numpy().T
        values = np.empty((len(events), self.arrays[0].shape[1]), dtype=np.float32)
        for i, showers in enumerate(self.arrays):
            # Rising rows: a map is read in one direction.
            here = np.flatnonzero(array == i)
            here = here[np.argsort(row[here])]
            values[here] = showers[row[here]]
            release(showers)
        return Batch(
            torch.from_numpy(values),
            None,
            self.target[events],
            self.weight[events],
            self.context[events],
        )


class _Seen(nn.Module):
    """Show a network a table, or log10 E_inc and the voxels, cut at a threshold, over E_inc."""

    def __init__(self, threshold: float | None, scaling: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.threshold = threshold
        self.scaling = scaling
        self.network = network

    def inputs(self, values: Tensor, context: Tensor | None) -> Tensor:
        """Return what the network sees of rows (B, C)."""
        if self.threshold is None or context is None:
            return values
        seen = torch.where(values < self.threshold, 0.0, values) / context
        return torch.cat([context.log10(), seen], 1)

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.network(self.scaling(self.inputs(values, context)))
        return outputs


def _nearer(tables: Sequence[Floats], among: Floats) -> Value:
    """Return P(a shower of the sample is nearer to the training than one of the reference)."""
    mean, std = among.mean(0), among.std(0)
    std = np.where(std > 1e-9 * np.abs(mean), std, 1)
    apart = [nearest_distances((t[:PAIRS] - mean) / std, (among - mean) / std) for t in tables]
    label = np.repeat([0, 1], [len(d) for d in apart])
    return auc(-np.concatenate(apart), label)


def _summary(apart: Mapping[str, TriangularDiscriminator]) -> dict[str, Value]:
    """Return the separation powers of the published histograms, means over the layers."""
    figures = {f"separation of {name}": apart[name].value for name in (RESPONSE, VOXELS)}
    for title, words in (
        ("layer energies", ("E",)),
        ("centres", ("centre eta", "centre phi", "centre r")),
        ("widths", ("width eta", "width phi", "width r")),
        ("sparsity", ("sparsity",)),
    ):
        figures[f"separation of {title}"] = mean_separation(apart, words)
    return figures


def _keys(found: Features) -> NDArray[np.int64]:
    """Return a checksum of each shower's energies, incident and by layer, and centres.

    Showers without any energy are equal and no copies: theirs is their number, from -1 down.
    """
    columns = np.concatenate([found.incident[:, None], found.energy, found.centre_r], 1)
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in columns)
    keys = np.frombuffer(digests, np.int64) & np.iinfo(np.int64).max  # negative is for empty ones
    empty = ~(found.energy > 0).any(1)
    keys[empty] = -1 - np.flatnonzero(empty)
    return keys


def _refuse_shared(
    first: NDArray[np.int64], second: NDArray[np.int64], names: tuple[str, str] = (ONE, TWO)
) -> None:
    shared = np.intersect1d(first[first >= 0], second[second >= 0])
    if len(shared):
        rows = [int(np.argmax(keys == shared[0])) for keys in (first, second)]
        raise InputError(
            f"{len(shared)} showers stand in both samples, such as number {rows[0]} of the"
            f" {names[0]} and number {rows[1]} of the {names[1]} (counted from 0); compare samples"
            " that are independent."
        )


def _highest(showers: NDArray[Any]) -> float:
    """Return the largest energy of a voxel."""
    highest = 0.0
    for start in range(0, len(showers), ROWS):
        highest = max(highest, float(showers[start : start + ROWS].max()))
        release(showers)
    return highest
