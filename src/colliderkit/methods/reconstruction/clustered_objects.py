"""The classical way to objects: anti-kT jets of towers, boosted trees for pT, mass and kind."""

from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import offsets_of
from colliderkit.events.clustering import cluster
from colliderkit.events.event_objects import KINDS, EventObjects, EventTowers
from colliderkit.events.grooming import soft_drop
from colliderkit.events.jets import Jets
from colliderkit.events.nsubjettiness import nsubjettiness
from colliderkit.events.tables import Floats, Ints, as_weight
from colliderkit.methods.reconstruction.object_detection import ObjectMethod
from colliderkit.metrics.detection import match_objects
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.seeds import derive
from colliderkit.sources.pythia.clustering import jets_of

__all__ = ["ClusteredObjects"]

FEATURES = (
    "ln pt", "|eta|", "ln mass", "ln groomed mass", "groomed z", "tau 2 / 1", "tau 3 / 2", "towers",
    "electromagnetic", "tracks / pt", "towers with tracks", "rank", "ln pt of the others",
)  # fmt: skip
NONE = len(KINDS)  # the class of a jet that is no object


class ClusteredObjects(ObjectMethod):
    """Find jets, W bosons and top quarks by anti-kT, and trees on shapes and substructure.

    The towers of an event are clustered by anti-kT (0802.1189). Boosted trees give each jet a
    probability of each kind and of none, and correct ln pT and ln mass; they see pT, eta, mass, the
    mass after soft drop (1402.2657), tau 2 / 1 and tau 3 / 2 (1011.2268), the numbers of towers,
    the shares of electromagnetic energy and of tracks, and what else is in the event. It is what
    `ObjectDetector` is compared with, on the same towers.

    Args:
        radius: of the jets, R.
        cut: least pT of a jet, before the correction [GeV].
        rounds: trees at most; fewer where a tenth of the jets no longer gains.
        leaves: of a tree.
        learning_rate: what a tree's values are multiplied by.

    After `fit`: `trees_` of "kind", "pt" and "mass", and `shapes_`, their sizes. Raises
    `InputError` without the generate extra, which has FastJet.
    """

    name: ClassVar[str] = "clustered-objects"

    trees_: dict[str, BoostedTrees]
    shapes_: dict[str, dict[str, int]]

    def __init__(
        self,
        *,
        radius: float = 1.0,
        cut: float = 100.0,
        rounds: int = 300,
        leaves: int = 15,
        learning_rate: float = 0.05,
    ) -> None:
        self.radius = radius
        self.cut = cut
        self.rounds = rounds
        self.leaves = leaves
        self.learning_rate = learning_rate

    def fit(
        self,
        towers: EventTowers,
        objects: EventObjects,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Grow trees on the jets of towers with true objects, and return self.

        A jet is the true object within half a radius of it. Raises `InputError` as
        `ObjectDetector.fit` does, and where no jet is of a kind.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        towers, objects = self._checked(towers, objects)
        weights = as_weight(weight, len(towers), "the events", negative="a leaf has no value then")
        jets, table = self._jets(towers)
        partner = match_objects(objects, _plain(jets)).partner
        near = partner >= 0
        kind = np.where(near, objects.kind[partner] if len(objects.kind) else NONE, NONE)
        missing = [name for i, name in enumerate(KINDS) if not (kind == i).any()]
        if missing:
            raise InputError(
                f"no jet of {self.cut:g} GeV or more is a {missing[0]}; lower cut, or give more"
                " events."
            )
        of_jet = weights[jets.event] / weights.mean()
        targets = {
            "pt": np.log(objects.pt[partner] / jets.pt),
            "mass": np.log(np.maximum(objects.mass[partner], 1.0) / np.maximum(jets.mass, 1.0)),
        }
        options: dict[str, Any] = {
            "max_iter": self.rounds,
            "max_leaf_nodes": self.leaves,
            "learning_rate": self.learning_rate,
            "early_stopping": len(kind) >= 200,
        }
        self.trees_ = {
            "kind": BoostedTrees.fit(table, kind, of_jet, derive(seed, "kind"), **options)
        }
        used = near & (of_jet > 0)
        for name, target in targets.items():
            self.trees_[name] = BoostedTrees.fit_regression(
                table[used], target[used], of_jet[used], derive(seed, name), **options
            )
        self.shapes_ = {name: trees.options for name, trees in self.trees_.items()}
        return self

    def predict(self, towers: EventTowers) -> EventObjects:
        """Return the jets of events, in each by falling largest score."""
        trees = self.trees_
        jets, table = self._jets(towers.check())
        rows = torch.from_numpy(table.astype(np.float32))
        with torch.inference_mode():
            score = trees["kind"](rows).double().softmax(1)[:, : len(KINDS)].numpy()
            scale, mass = (np.exp(trees[n](rows)[:, 0].double().numpy()) for n in ("pt", "mass"))
        order = np.lexsort((-score.max(1, initial=0.0), jets.event))
        return EventObjects(
            offsets_of(jets.counts),
            (jets.pt * scale)[order],
            jets.eta[order],
            jets.phi[order],
            (np.maximum(jets.mass, 1.0) * mass)[order],
            score[order].argmax(1).astype(np.int64),
            score[order],
        )

    def _jets(self, towers: EventTowers) -> tuple[Jets, Floats]:
        """Return the jets of towers, and what trees see of each, (J, 13) by `FEATURES`."""
        pt = towers.em + towers.had
        momenta = ak.zip(
            {
                "px": pt * np.cos(towers.phi),
                "py": pt * np.sin(towers.phi),
                "pz": pt * np.sinh(towers.eta),
                "E": pt * np.cosh(towers.eta),
            }
        )
        some = pt > 0
        counts = np.bincount(towers.event[some], minlength=len(towers))
        jets, of = jets_of(ak.unflatten(momenta[some], counts), radius=self.radius, least=self.cut)
        inside = np.flatnonzero(of >= 0)
        order = inside[np.argsort(of[inside], kind="stable")]
        jet, row = of[order], np.flatnonzero(some)[order]
        size = np.bincount(jet, minlength=len(jets.pt))
        members = ak.unflatten(momenta[row], size)
        tau = nsubjettiness(cluster(members, "kt"), 3)[:, :, 0]
        groomed = soft_drop(cluster(members, "ca"), radius=self.radius)
        px, py, pz, energy = groomed.vectors.T
        mass2 = np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0)

        def sums(values: Floats) -> Floats:
            return np.asarray(np.bincount(jet, values[row], len(size)), dtype=np.float64)

        of_event = np.bincount(jets.event, jets.pt, len(towers))
        columns = (
            np.log(jets.pt), np.abs(jets.eta), np.log(np.maximum(jets.mass, 1.0)),
            np.log(np.maximum(np.sqrt(mass2), 1.0)), groomed.z, _ratio(tau[:, 1], tau[:, 0]),
            _ratio(tau[:, 2], tau[:, 1]), size, sums(towers.em) / jets.pt,
            sums(towers.track) / jets.pt, sums((towers.track > 0).astype(np.float64)),
            _ranks(jets), np.log1p(np.maximum(of_event[jets.event] - jets.pt, 0.0)),
        )  # fmt: skip
        return jets, np.stack(columns, axis=1).astype(np.float64)

    def _rebuild(self) -> None:
        self.trees_ = {name: BoostedTrees(**shape) for name, shape in self.shapes_.items()}


def _plain(jets: Jets) -> EventObjects:
    """Return jets as objects of the first kind."""
    kind = np.zeros(len(jets.pt), dtype=np.int64)
    ends = offsets_of(jets.counts)
    return EventObjects.true(ends, jets.pt, jets.eta, jets.phi, jets.mass, kind)


def _ratio(one: Floats, other: Floats) -> Floats:
    return np.asarray(one / np.maximum(other, 1e-6))


def _ranks(jets: Jets) -> Ints:
    """Return the place of each jet by pT in its event, from 0."""
    order = np.lexsort((-jets.pt, jets.event))
    rank = np.empty(len(order), dtype=np.int64)
    first = np.cumsum(jets.counts) - jets.counts
    rank[order] = np.arange(len(order)) - first[jets.event[order]]
    return rank
