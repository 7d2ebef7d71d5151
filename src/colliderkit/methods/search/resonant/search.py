"""Base of searches for a resonance without a model: one judge a fold, cut, spectrum.

A resonance stands in a window of one mass, and the background is smooth in it. The members of the
family differ in how they learn, from the data alone or with simulated background, how the features
of the window differ from those of the background in it; all else is here.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import safe_open
from safetensors.torch import save as save_tensors

from colliderkit.errors import InputError
from colliderkit.events.binning import inside
from colliderkit.events.schema import hash_uniform
from colliderkit.events.tables import Floats, Ints, Table, as_column
from colliderkit.files import atomic_file
from colliderkit.methods.method import Method
from colliderkit.methods.search.resonant.classifiers import (
    Classifiers,
    Judge,
    Network,
    Trees,
    TwoSamples,
    classifier,
)
from colliderkit.methods.search.spectrum import Excess, edges_with, excess
from colliderkit.seeds import derive

__all__ = ["Candidates", "ResonantSearch"]

Bools = NDArray[np.bool_]
Range = tuple[float, float]
FEWEST = 10  # events of a fold in the signal region: fewer are not to be learned from


@dataclass(frozen=True)
class Candidates:
    """N events of a search: `features` (N, F), `mass` (N,), `weight` and `event` (N,).

    `label` (N,) is 1 for signal, where a bound is taken that needs it, and `fold` (N,) the fold of
    each event.
    """

    features: Floats
    mass: Floats
    weight: Floats
    event: Ints
    fold: Ints
    label: Ints | None = None

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Return the events of several, without labels."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.mass for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.fold for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.mass)

    def at(self, rows: Any) -> "Candidates":
        """Return some of the events: a mask (N,) or numbers (n,)."""
        label = None if self.label is None else self.label[rows]
        return Candidates(
            self.features[rows],
            self.mass[rows],
            self.weight[rows],
            self.event[rows],
            self.fold[rows],
            label,
        )

    def inside(self, region: Range) -> "Candidates":
        """Return the events with low <= mass < high."""
        return self.at(inside(self.mass, region))


class ResonantSearch(Method):
    """Search for a resonance in a window of one mass, by features, without a model of it.

    Each event gets the score of a judge that has not seen it: the folds are a hash of the event
    number and the seed, and judge k is trained on the events outside of fold k. In each fold the
    share `efficiency` of highest score passes, over all masses, and the mass spectrum of what
    passes is fitted outside of the signal region.

    Args:
        signal_region: the window, low <= mass < high.
        sidebands: the outer ends of the events that the background is learned from; None takes all
            that lie outside of the window.
        folds: how many; each event is judged by what the others have taught.
        efficiency: the share of events that passes the cut.
        classifier: "trees" or "network".
        options: settings of the classifier, see `classifiers.Trees` and `classifiers.Network`.
        members: classifiers of each training, averaged.
        edges: of the bins of the spectrum, (B + 1,).
        bins: about how many, where `edges` are not given: the ends of the window are edges then.
        family: of the fitted function, see `BumpHunt`.
        orders: the least and the most of its parameters beside the normalisation.

    After `fit`: `score_` (N,), larger for what the signal region has in excess; `fold_` (N,);
    `passed_` (N,) and `thresholds_` (folds,) of the cut; `judges_`, one a fold; `excess_` of what
    passes and `before_` of all events in the same bins, the spectra and their fits (`Excess`).
    """

    resumable: ClassVar[bool] = True
    # What is done after the training: a finished fit can be resumed with another cut.
    extended: ClassVar[tuple[str, ...]] = ("efficiency", "edges", "bins", "family", "orders")
    needs: ClassVar[tuple[str, ...]] = ()  # "simulation" or "label", what fit asks for
    takes: ClassVar[tuple[str, ...]] = ()  # what it makes use of where it is given

    names_: list[str]
    event_: Ints
    fold_: Ints
    score_: Floats
    passed_: Bools
    thresholds_: Floats
    excess_: Excess
    before_: Excess
    judges_: list[Judge]
    shapes_: list[Any]

    def __init__(
        self,
        *,
        signal_region: Range = (3300.0, 3700.0),
        sidebands: Range | None = None,
        folds: int = 5,
        efficiency: float = 0.01,
        classifier: Literal["trees", "network"] = "trees",
        options: Mapping[str, Any] | None = None,
        members: int = 2,
        edges: Sequence[float] | None = None,
        bins: int = 40,
        family: str = "dijet",
        orders: tuple[int, int] = (2, 3),
    ) -> None:
        self.signal_region = signal_region
        self.sidebands = sidebands
        self.folds = folds
        self.efficiency = efficiency
        self.classifier = classifier
        self.options = options
        self.members = members
        self.edges = edges
        self.bins = bins
        self.family = family
        self.orders = orders

    def fit(
        self,
        features: ArrayLike,
        mass: ArrayLike,
        *,
        simulation: tuple[ArrayLike, ...] | None = None,
        label: ArrayLike | None = None,
        event: ArrayLike | None = None,
        names: Sequence[str] = (),
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from `features` (N, F) and `mass` (N,) of the data, and return self.

        `simulation` are features, masses and, if there are, weights of simulated background, and
        `label` (N,) is 1 for signal: for the members that need them; others refuse them. `event`
        (N,) are event numbers, by which folds are made, and `names` (F,) those of the features.
        `weight` (N,) must not be negative. Finished folds, and the checkpoints of trained flows,
        are kept in `folder`, from which `resume` goes on.

        Raises `InputError` for values that are not finite, a window or sidebands without events,
        folds with too few, and spectra that cannot be fitted, with the window.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            features=features,
            mass=mass,
            simulation=simulation,
            label=label,
            event=event,
            weight=weight,
        )
        self._check_arguments()
        data = self._data(features, mass, label, event, names, weight)
        simulated = self._simulation(simulation)
        self._check(data)
        if simulated is not None:
            self._check_region(simulated, "simulated event")
        self.event_, self.fold_ = data.event, data.fold
        self.judges_, self.score_ = [], np.zeros(len(data))
        for k in range(self.folds):
            kept = None if folder is None else Path(folder) / f"fold-{k}.safetensors"
            judge = self._kept(kept)
            if judge is None:
                judge = self._judge(
                    data.at(data.fold != k),
                    simulated,
                    derive(seed, "fold", k),
                    folder=None if folder is None else Path(folder) / f"fold-{k}",
                    resume=resume,
                    progress=progress,
                )
                self._keep(kept, judge)
            self.judges_.append(judge.eval())
            rows = data.fold == k
            self.score_[rows] = judge(data.features[rows], data.mass[rows])
        self.shapes_ = [judge.options for judge in self.judges_]
        self.passed_, self.thresholds_ = self._cut(self.efficiency, data.weight)
        everything = np.ones(len(data), dtype=bool)
        self.before_, self.excess_ = (
            self._excess(data, rows) for rows in (everything, self.passed_)
        )
        return self

    def score(self, features: ArrayLike, mass: ArrayLike) -> Floats:
        """Return the score of events that none of the judges has seen, (N, F), (N,) -> (N,)."""
        table = Table.checked(features, "features", names=self.names_)
        column = as_column(mass, len(table), "mass")
        scores: Floats = np.mean([judge(table.values, column) for judge in self.judges_], axis=0)
        return scores

    def select(self, efficiency: float, *, weight: ArrayLike | None = None) -> Bools:
        """Return which events of the fit pass a cut of another efficiency, (N,).

        `weight` (N,) are the weights of the fit, if it had any.
        """
        if not 0 < efficiency <= 1:
            raise InputError(f"efficiency is {efficiency:g}; give a share above 0, at most 1.")
        w = np.ones(len(self.score_)) if weight is None else np.asarray(weight, dtype=np.float64)
        return self._cut(efficiency, w)[0]

    @abstractmethod
    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        """Train on these events, and return a module (features, mass) -> score with `options`.

        `where` are the folder, resume and progress of the trainings.
        """

    def _built(self, options: Any) -> Judge:
        """Return a judge of the shape that its `options` tell, without weights."""
        return Classifiers(options)

    def _classified(self, samples: TwoSamples, seed: int) -> Classifiers:
        """Train the classifiers of two samples."""
        return Classifiers.fit(self._settings(), samples, self.members, derive(seed, "classify"))

    @property
    def background_range(self) -> Range:
        """The outer ends of the sidebands."""
        return (-np.inf, np.inf) if self.sidebands is None else self.sidebands

    def _settings(self) -> Trees | Network:
        """Return the settings of the classifier."""
        return classifier(self.classifier, self.options)

    def _check_arguments(self) -> None:
        """Raise `InputError` for arguments that clash."""
        low, high = self.signal_region
        if not low < high:
            raise InputError(f"signal_region is {low:g} to {high:g}; give (low, high), rising.")
        if self.sidebands is not None and not self.sidebands[0] < low < high < self.sidebands[1]:
            raise InputError(
                f"sidebands end at {self.sidebands[0]:g} and {self.sidebands[1]:g}; give ends"
                f" outside of the signal region, {low:g} to {high:g}."
            )
        if self.folds < 2:
            raise InputError(f"folds is {self.folds}; it must be at least 2.")
        self._check_classifier()

    def _check_classifier(self) -> None:
        """Raise `InputError` for settings that the classifier does not have."""
        self._settings()

    def _sideband(self, data: Candidates) -> tuple[Candidates, Candidates]:
        """Return the events below and above the window that the background is learned from."""
        (first, last), (low, high) = self.background_range, self.signal_region
        return data.inside((first, low)), data.inside((high, last))

    def _data(
        self,
        features: ArrayLike,
        mass: ArrayLike,
        label: ArrayLike | None,
        event: ArrayLike | None,
        names: Sequence[str],
        weight: ArrayLike | None,
    ) -> Candidates:
        negative = "the spectrum is one of Poisson counts"
        table = Table.checked(
            features, "features", names=names, weight=weight, event=event, negative=negative
        )
        self.names_ = list(table.names)
        column = as_column(mass, len(table), "mass")
        uniform = hash_uniform(table.event, derive(self.seed_, "folds"))
        fold = (uniform * self.folds).astype(np.int64)
        return Candidates(
            table.values,
            column,
            table.weight,
            table.event,
            fold,
            self._label(label, len(table)),
        )

    def _label(self, label: ArrayLike | None, count: int) -> Ints | None:
        if "label" not in self.needs:
            if label is not None:
                raise InputError(f"{self.name} looks at no labels; leave out label.")
            return None
        if label is None:
            raise InputError(f"{self.name} is a bound that knows the signal; give label.")
        known = as_column(label, count, "label")
        if not np.isin(known, (0, 1)).all() or len(np.unique(known)) < 2:
            raise InputError("label has to be 0 for background and 1 for signal, both present.")
        return known.astype(np.int64)

    def _simulation(self, simulation: tuple[ArrayLike, ...] | None) -> Candidates | None:
        if simulation is None:
            if "simulation" in self.needs:
                raise InputError(f"{self.name} begins with simulated background; give simulation.")
            return None
        if "simulation" not in (*self.needs, *self.takes):
            raise InputError(
                f"{self.name} learns the background from the data; leave out simulation."
            )
        if len(simulation) not in (2, 3):
            raise InputError("simulation has to be (features, mass) or (features, mass, weight).")
        features, mass, weight = (*simulation, None)[:3]
        assert features is not None
        assert mass is not None
        table = Table.checked(
            features,
            "the simulation",
            names=self.names_,
            weight=weight,
            negative="it stands for numbers of events",
        )
        column = as_column(mass, len(table), "the mass of the simulation")
        none = np.zeros(len(table), np.int64)
        return Candidates(table.values, column, table.weight, table.event, none)

    def _check(self, data: Candidates) -> None:
        """Raise `InputError` where there is nothing to learn from."""
        window = self._check_region(data, "event")
        counts = np.bincount(window.fold, minlength=self.folds)
        if counts.min() < FEWEST:
            low, high = self.signal_region
            raise InputError(
                f"fold {int(counts.argmin())} of {self.folds} has {counts.min()} events in the"
                f" signal region {low:g} to {high:g}; {FEWEST} are the fewest to learn from: give"
                " more events, a wider signal_region or fewer folds."
            )

    def _check_region(self, events: Candidates, what: str) -> Candidates:
        """Return the events in the window; raise `InputError` without any there or beside it."""
        said = "{:g} to {:g}".format(*self.signal_region)
        ends = f"masses go from {events.mass.min():g} to {events.mass.max():g}"
        window = events.inside(self.signal_region)
        if not len(window):
            raise InputError(f"signal_region {said} holds no {what}; {ends}.")
        for side, name in zip(self._sideband(events), ("below", "above"), strict=True):
            if not len(side):
                raise InputError(
                    f"there is no {what} {name} the signal region {said}, to learn the background"
                    f" from; {ends}."
                )
        return window

    def _excess(self, data: Candidates, rows: Bools) -> Excess:
        """Fit the spectrum of some of the events beside the window."""
        edges: ArrayLike | None = self.edges
        if edges is None:
            ends = float(data.mass.min()), float(data.mass.max())
            edges = edges_with(self.signal_region, *ends, self.bins)
        return excess(
            data.mass[rows],
            region=self.signal_region,
            edges=edges,
            family=self.family,
            orders=self.orders,
            weight=data.weight[rows],
        )

    def _cut(self, efficiency: float, weight: Floats) -> tuple[Bools, Floats]:
        """Return what passes, (N,), and the threshold of each fold."""
        passed, thresholds = np.zeros(len(self.score_), dtype=bool), np.zeros(self.folds)
        # Trees give many events one score: chance, and not their order, says which of them pass.
        chance = hash_uniform(self.event_, derive(self.seed_, "ties"))
        for k in range(self.folds):
            rows = np.flatnonzero(self.fold_ == k)
            order = rows[np.lexsort((chance[rows], -self.score_[rows]))]
            share = np.cumsum(weight[order]) / weight[order].sum()
            taken = order[: max(1, int(np.searchsorted(share, efficiency * (1 + 1e-12), "right")))]
            passed[taken] = True
            thresholds[k] = self.score_[taken[-1]]
        return passed, thresholds

    def _rebuild(self) -> None:
        self.judges_ = [self._built(options) for options in self.shapes_]

    def _keep(self, path: Path | None, judge: Judge) -> None:
        if path is None:
            return
        # One memory may stand behind several names.
        tensors = {name: value.clone() for name, value in judge.state_dict().items()}
        with atomic_file(path, force=True) as part:
            options = {"options": json.dumps(judge.options)}
            part.write_bytes(save_tensors(tensors, metadata=options))

    def _kept(self, path: Path | None) -> Judge | None:
        """Return a judge that an interrupted fit has finished."""
        if path is None or not path.is_file():
            return None
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            judge = self._built(json.loads(file.metadata()["options"]))
            judge.load_state_dict({name: file.get_tensor(name) for name in names})
        return judge
