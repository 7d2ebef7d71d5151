"""OmniFold: unfold without bins, by weights of the simulated events (1911.09107)."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import CONSTITUENTS, check_jets
from colliderkit.files import atomic_file
from colliderkit.losses.ratio import ratio_loss
from colliderkit.methods.architecture import Architecture
from colliderkit.methods.method import Method
from colliderkit.methods.ratio import NetworkRatio, TableRatio, one_sample, two_samples
from colliderkit.methods.ratio.ratio import jet_summary
from colliderkit.methods.unfolding.marginals import Marginals
from colliderkit.metrics.closure import gaps
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Training

__all__ = ["OmniFold", "Sample"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Inputs = Ragged | Tensor
LARGEST_GAP = 0.01  # of the truth: what of it may be out of the detector's sight with a warning


@dataclass(frozen=True)
class Sample:
    """Hold what is unfolded, checked: the measured events and the simulation, event by event.

    - `data` (D, C), `data_weight` (D,): the measured events, background among them with negative
      weights;
    - `reco` (N, C), `truth` (N, T), `weight` (N,): the simulation at both levels. Each level is a
      table or, for all particles, a jet array (see `colliderkit.events.schema`);
    - `pass_reco`, `pass_truth` (N,): where an event is seen; misses are not seen by the detector,
      fakes are seen by it alone;
    - `event` (N,), `data_event` (D,): numbers that the split and the bootstrap go by.
    """

    data: Any
    data_weight: Floats
    reco: Any
    truth: Any
    weight: Floats
    pass_reco: Bools
    pass_truth: Bools
    event: NDArray[np.int64]
    data_event: NDArray[np.int64]

    @classmethod
    def checked(
        cls,
        data: Any,
        reco: Any,
        truth: Any,
        *,
        pass_reco: ArrayLike | None = None,
        pass_truth: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        data_weight: ArrayLike | None = None,
        background: Any = None,
        background_weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        data_event: ArrayLike | None = None,
    ) -> Self:
        """Fill in what is not given and raise `InputError` for what cannot be unfolded."""
        measured, seen, true = (
            _table(values, what)
            for values, what in ((data, "data"), (reco, "reco"), (truth, "truth"))
        )
        if len(seen) != len(true):
            raise InputError(
                f"the simulation has {len(true)} events at truth level and {len(seen)} at detector"
                " level; give one row an event at both."
            )
        if isinstance(measured, ak.Array) != isinstance(seen, ak.Array):
            raise InputError(
                "of data and reco one is jets and one a table; give the same for both."
            )
        if not isinstance(seen, ak.Array) and measured.shape[1] != seen.shape[1]:
            raise InputError(
                f"data have {measured.shape[1]} observables, reco {seen.shape[1]}; give the same."
            )
        n = len(true)
        passed = [
            np.ones(n, dtype=bool) if flag is None else np.asarray(flag, dtype=bool)
            for flag in (pass_reco, pass_truth)
        ]
        for flag, name in zip(passed, ("pass_reco", "pass_truth"), strict=True):
            if flag.shape != (n,):
                raise InputError(f"{name} has {flag.size} values for {n} simulated events.")
        _check_finite(measured, np.ones(len(measured), dtype=bool), "data")
        _check_finite(seen, passed[0], "reco")
        _check_finite(true, passed[1], "truth")
        w = _weight(weight, n, "simulation")
        dw = _weight(data_weight, len(measured), "data")
        numbers = np.arange(len(measured)) if data_event is None else np.asarray(data_event)
        if background is not None:
            other = _table(background, "background")
            _check_finite(other, np.ones(len(other), dtype=bool), "background")
            bw = _weight(background_weight, len(other), "background")
            if bw.sum() >= dw.sum():
                raise InputError(
                    f"the background, {bw.sum():.6g}, is as large as the data, {dw.sum():.6g}:"
                    " nothing is left to unfold."
                )
            join = ak.concatenate if isinstance(measured, ak.Array) else np.concatenate
            measured, dw = join([measured, other]), np.concatenate([dw, -bw])
            # Numbers of their own, so that the bootstrap moves them alone.
            numbers = np.concatenate([numbers, -1 - np.arange(len(other))])
        both = passed[0] & passed[1]
        fakes = passed[0] & ~passed[1]
        if not both.any():
            raise InputError("no simulated event passes at both levels; nothing links the two.")
        if w[fakes].sum() >= w[passed[0]].sum() or w[fakes].sum() >= dw.sum():
            raise InputError(
                f"the fakes, {w[fakes].sum():.6g}, are as many as the events seen,"
                f" {min(w[passed[0]].sum(), dw.sum()):.6g}; check pass_truth or the weights."
            )
        events = np.arange(n) if event is None else np.asarray(event)
        # What does not pass is never looked at; zeros keep it from spreading.
        seen, true = (
            level if isinstance(level, ak.Array) else np.where(flag[:, None], level, 0.0)
            for level, flag in ((seen, passed[0]), (true, passed[1]))
        )
        return cls(measured, dw, seen, true, w, passed[0], passed[1], events, numbers)

    @property
    def both(self) -> Bools:
        """Events seen at both levels."""
        return self.pass_reco & self.pass_truth


class OmniFold(Method):
    """Unfold one observable (UniFold), several (MultiFold) or all particles of a jet (OmniFold).

    Each level is a table of observables or a jet array, the two need not be alike.

    Each iteration reweights the simulation to the data at detector level (step 1), and averages
    these weights over what the detector does to one truth (step 2):

        pull = push  p_data(reco) / p_simulation,push(reco),      push = E[pull | truth].

    Step 1 is learned in two factors, so that the fluctuations of the data enter once:

        p_data / p_simulation,push = p_data / p_simulation  /  E[push | reco] / E[push].

    The first is the same in all iterations. The second, like step 2, compares two weights of the
    same events, whose fluctuations are common to both.

    Step 2 looks at events seen at both levels and gives the push weight of all true events: the
    misses get the average of the events with their truth. Fakes are in step 1 alone, with the
    mean push weight. Weights are relative to the simulation's own, and hold the normalisation:
    the weighted simulation has the yield of the data.

    Args:
        iterations: how many; `pushes_` keeps each.
        network: looks at a level of jets: a name of `colliderkit.networks.NETWORKS`, with its
            `options` and `features` as in `methods.tagging`.
        hidden: widths of the perceptrons, which look at a table.
        members: networks whose mean ln ratio is taken at each step (2503.20753).
        data_members: the same for the ratio to the data: all iterations share it, none corrects it.
        family: of tables, learn corrections to an exponential family, see `methods.ratio`: for
            few events or observables that are nearly normal. Without, the networks see each
            column by its ranks as well (`marginals`).
        validation: the share of events, by a hash of their number, that chooses the epoch: the
            same in all steps.
        training: epochs, batch size, learning rate and the like, of each step.

    After `fit`: `pushes_` (iterations + 1, N), 1 to begin with, and `history_`.
    """

    name: ClassVar[str] = "omnifold"

    def __init__(
        self,
        *,
        iterations: int = 5,
        network: str = "pfn",
        options: dict[str, Any] | None = None,
        features: Sequence[str] | None = None,
        hidden: Sequence[int] = (50, 100, 50),
        members: int = 1,
        data_members: int = 3,
        family: bool = False,
        validation: float = 0.1,
        training: Training = Training(
            epochs=10, batch_size=512, learning_rate=3e-3, schedule="cosine"
        ),
    ) -> None:
        self.iterations = iterations
        self.network = network
        self.options = options
        self.features = features
        self.hidden = hidden
        self.members = members
        self.data_members = data_members
        self.family = family
        self.validation = validation
        self.training = training

    def fit(
        self,
        data: Any,
        reco: Any,
        truth: Any,
        *,
        seed: int = 0,
        folder: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Unfold `data` (D, C) with the simulation `reco` (N, C), `truth` (N, T); return self.

        Any of them may be a jet array instead, data and reco together. Further keywords are those
        of `Sample.checked`: pass_reco, pass_truth, weight, data_weight, background,
        background_weight, event, data_event. With a `folder` each finished iteration is kept
        there, and the same call goes on at the next.
        """
        return self.fit_sample(
            Sample.checked(data, reco, truth, **options), seed=seed, folder=folder
        )

    def fit_sample(
        self, sample: Sample, *, seed: int = 0, folder: str | Path | None = None
    ) -> Self:
        """Unfold a checked sample; see `fit`."""
        if min(self.iterations, self.members, self.data_members) < 1:
            raise InputError("--iterations, --members and --data_members must be at least 1.")
        _check_support(sample)
        kept = None if folder is None else _Kept(Path(folder), self._request(sample, seed))
        self.seed_ = seed
        self.pushes_ = np.ones((self.iterations + 1, len(sample.truth)))
        self.history_: list[list[Any]] = []
        levels = (
            self._inputs(sample.reco, sample.reco[sample.pass_reco]),
            self._inputs(sample.truth, sample.truth[sample.pass_truth]),
        )
        against_data: Floats | None = None
        for i in range(self.iterations):
            push = None if kept is None else kept.read(f"push-{i}")
            if push is None:
                if against_data is None:
                    against_data = None if kept is None else kept.read("data")
                if against_data is None:
                    against_data = self._against_data(sample, levels[0], seed * 1_000)
                    if kept is not None:
                        kept.write("data", against_data)
                push = self._iterate(sample, levels, against_data, i)
                if kept is not None:
                    kept.write(f"push-{i}", push)
            self.pushes_[i + 1] = push
        return self

    def weights(self, iteration: int | None = None) -> Floats:
        """Return the push weights (N,) after `iteration`, the last if None; 0 where not true."""
        if not hasattr(self, "pushes_"):
            raise InputError("nothing is unfolded yet; call fit.")
        return self.pushes_[-1 if iteration is None else iteration]

    @property
    def _architecture(self) -> Architecture:
        return Architecture(self.network, self.options, self.features)

    def _inputs(self, level: Any, simulation: Any) -> Inputs:
        """Return what the networks read of a level, given the simulation's events of it."""
        if isinstance(level, ak.Array):
            return self._architecture.inputs(level)
        # A family of the columns and of their ranks would know of everything twice.
        table = level if self.family else Marginals.of(simulation)(level)
        return torch.from_numpy(table.astype(np.float32))

    def _against_data(self, sample: Sample, reco: Inputs, seed: int) -> Floats:
        """Learn p_data / p_simulation at detector level; return it at all simulated events (N,)."""
        seen = sample.pass_reco
        train, held = two_samples(
            (self._inputs(sample.data, sample.reco[seen]), _at(reco, seen)),
            (sample.data_weight, sample.weight[seen]),
            (sample.data_event, sample.event[seen]),
            self.validation,
            self.seed_,
        )
        return self._learn(train, held, seed, self.data_members)(reco)

    def _iterate(
        self, sample: Sample, levels: tuple[Inputs, Inputs], against_data: Floats, i: int
    ) -> Floats:
        """Return the push weights after iteration i + 1."""
        reco, truth = levels
        push, seed = self.pushes_[i], self.seed_ * 1_000 + 2 * i
        seen, both, own = sample.pass_reco, sample.both, sample.weight
        mean = float(np.average(push[both], weights=own[both]))
        moved = np.where(sample.pass_truth, push, mean) * own
        pull = push * against_data * (sample.data_weight.sum() / moved[seen].sum())
        if i > 0:
            pull = pull / self._average(reco, moved, own, seen, sample.event, seed)
        new = self._average(truth, own * pull, own, both, sample.event, seed + 1)
        new = np.where(sample.pass_truth, new, 0.0)
        # The mean over the events that both levels see is that of their pull weights.
        return np.asarray(new * ((own * pull)[both].sum() / (own * new)[both].sum()))

    def _average(
        self,
        level: Inputs,
        numerator: Floats,
        denominator: Floats,
        chosen: Bools,
        event: NDArray[np.int64],
        seed: int,
    ) -> Floats:
        """Learn E[a / b | event] of events with weights a and b (N,); return it at all of them.

        It is the ratio of two samples of the same `chosen` events, each of total weight 1.
        """
        weights = numerator[chosen], denominator[chosen]
        train, held = one_sample(
            _at(level, chosen), weights, event[chosen], self.validation, self.seed_
        )
        return self._learn(train, held, seed, self.members)(level)

    def _learn(
        self, train: Dataset, held: Dataset, seed: int, members: int
    ) -> Callable[[Inputs], Floats]:
        """Learn the ratio of the events of target 1 to those of target 0, as a function of them."""
        loss = ratio_loss("bce")
        seeds = [seed * 100 + member for member in range(members)]
        model: TableRatio | NetworkRatio
        if isinstance(train.inputs, Tensor):
            model = TableRatio(train.inputs.shape[1], members, self.hidden, loss)
            history = model.fit(train, held, self.training, seeds=seeds, family=self.family)
        else:
            model = NetworkRatio(self._architecture, members, loss)
            history = model.fit(train, held, self.training, seeds=seeds, progress=False)
        self.history_.append([asdict(epoch) for epoch in history[0]])
        return lambda inputs: model(inputs).double().mean(0).exp().numpy()

    def claim(self, sample: Sample, seed: int, folder: str | Path) -> None:
        """Raise `InputError` if `folder` keeps iterations of another unfolding than this one."""
        _Kept(Path(folder), self._request(sample, seed))

    def _request(self, sample: Sample, seed: int) -> dict[str, Any]:
        """Say what a kept iteration belongs to."""
        return {
            "parameters": {**self._parameters(), "iterations": None},
            "seed": seed,
            "events": [len(sample.truth), len(sample.data)],
            "sums": [float(sample.weight.sum()), float(sample.data_weight.sum())],
            "values": [_total(sample.truth), _total(sample.reco)],
        }

    # What follows saves and restores.

    def _tensors(self) -> dict[str, Tensor]:
        return {"pushes": torch.from_numpy(self.pushes_)}

    def _state(self) -> dict[str, Any]:
        return {"seed": self.seed_, "history": self.history_}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.pushes_ = tensors["pushes"].numpy()
        self.seed_, self.history_ = state["seed"], state["history"]


class _Kept:
    """Keep finished iterations in a folder, and refuse those of another request."""

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        note = folder / "unfolding.json"
        text = json.dumps(request, sort_keys=True)
        if note.exists() and note.read_text() != text:
            raise InputError(
                f"{folder}: holds iterations of another unfolding; choose another folder or remove"
                " it."
            )
        if not note.exists():
            with atomic_file(note) as part:
                part.write_text(text)

    def read(self, name: str) -> Floats | None:
        path = self.folder / f"{name}.npy"
        return np.load(path, allow_pickle=False) if path.exists() else None

    def write(self, name: str, values: Floats) -> None:
        path = self.folder / f"{name}.npy"
        with atomic_file(path, force=True) as part, open(part, "wb") as file:
            np.save(file, values)


def _at(inputs: Inputs, chosen: Bools) -> Inputs:
    rows = torch.from_numpy(np.flatnonzero(chosen))
    return inputs[rows] if isinstance(inputs, Tensor) else inputs.at(rows)


def _total(level: Any) -> float:
    """Return a sum that other events would not have."""
    return float(ak.sum(level[CONSTITUENTS]["E"]) if isinstance(level, ak.Array) else level.sum())


def _table(values: Any, what: str) -> Any:
    """Return a table (N, C) float64, or the jet array that it is."""
    if isinstance(values, ak.Array) and values.fields:
        return check_jets(values, what)
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) == 0:
        raise InputError(f"{what} has shape {table.shape}; give a table (events, observables).")
    return table


def _check_finite(table: Any, passed: Bools, what: str) -> None:
    if isinstance(table, ak.Array):
        return  # check_jets has looked at all of them
    bad = ~np.isfinite(table) & passed[:, None]
    if bad.any():
        event, column = np.argwhere(bad)[0]
        raise InputError(
            f"observable {column} of event {event} of {what} is {table[event, column]}."
        )


def _check_support(sample: Sample) -> None:
    """Raise `InputError` for a truth that is never seen and for data that no simulation reaches.

    Where that is a small part only, warn of it.
    """
    truth, names = _seen(sample.truth)
    for gap in gaps(truth[sample.pass_truth], truth[sample.both], names):
        if gap.share > LARGEST_GAP:
            raise InputError(
                f"the efficiency is zero for the truth's {gap}: no event there is seen, and data"
                " say nothing of it; leave such events out of pass_truth."
            )
        warnings.warn(f"no event of the truth's {gap} is seen", stacklevel=3)
    reco, names = _seen(sample.reco)
    for gap in gaps(_seen(sample.data)[0], reco[sample.pass_reco], names):
        if gap.share > 0.999:
            raise InputError(
                f"data and simulation do not overlap in {gap.column}: where the data are,"
                f" {gap.low:.4g} to {gap.high:.4g}, no simulated event is measured."
            )
        warnings.warn(f"the simulation has no events where data are: {gap}", stacklevel=3)


def _seen(level: Any) -> tuple[Floats, list[str]]:
    """Return a level as a table with the names of its columns; of jets, a summary."""
    if isinstance(level, ak.Array):
        return jet_summary(level)
    return level, [f"observable {i}" for i in range(level.shape[1])]


def _weight(weight: ArrayLike | None, count: int, what: str) -> Floats:
    w = np.ones(count) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != (count,):
        raise InputError(f"{what}: {w.size} weights for {count} events; give one each.")
    if not np.isfinite(w).all():
        raise InputError(f"{what}: the weight of event {np.argmin(np.isfinite(w))} is not finite.")
    if not w.sum() > 0:
        raise InputError(f"{what}: the weights sum to {w.sum():.6g}; they must be positive.")
    return w
