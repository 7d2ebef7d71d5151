"""OmniFold: unfold without bins, by weights of the simulated events (1911.09107)."""

import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.files import atomic_file
from colliderkit.losses.ratio import ratio_loss
from colliderkit.methods.architecture import Architecture
from colliderkit.methods.ratio import NetworkRatio, TableRatio, same_events, two_samples
from colliderkit.methods.ratio.ratio import jet_summary
from colliderkit.methods.state import decode, encode
from colliderkit.methods.unfolding.marginals import Marginals
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.unfolding import Unfolding
from colliderkit.metrics.closure import gaps
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["OmniFold"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Inputs = Ragged | Tensor
History = dict[str, list[Epoch]]
LARGEST_GAP = 0.01  # of the truth: what of it may be out of the detector's sight with a warning


class OmniFold(Unfolding):
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
        network: looks at a level of jets: a name of `colliderkit.networks.NETWORKS`.
        options: keyword arguments of the network.
        features: per-particle features, as in `methods.tagging`.
        hidden: widths of the perceptrons, which look at a table.
        members: networks whose mean ln ratio is taken at each step (2503.20753).
        data_members: the same for the ratio to the data: all iterations share it, none corrects it.
        family: of tables, learn corrections to an exponential family, see `methods.ratio`: for
            few events or observables that are nearly normal. Without, the networks see each
            column by its ranks as well (`marginals`).
        validation: the share of events, by a hash of their number, that chooses the epoch: the
            same in all steps.
        training: epochs, batch size, learning rate and the like, of each step.

    After `fit`: `pushes_` (iterations + 1, N), 1 to begin with, and `history_` of what was trained:
    "data", "iteration 1, step 2", "iteration 2, step 1", ... With a `folder` each finished
    iteration is kept there, and `resume` goes on at the next; without it they are dropped.
    """

    name: ClassVar[str] = "omnifold"
    resumable: ClassVar[bool] = True
    extended: ClassVar[tuple[str, ...]] = ("iterations",)
    particles: ClassVar[bool] = True

    pushes_: Floats
    history_: dict[str, list[Epoch]]

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

    def _fit(
        self, sample: UnfoldingSample, folder: Path | None, resume: bool, progress: bool
    ) -> None:
        for name in ("iterations", "members", "data_members"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        _check_support(sample)
        self.pushes_ = np.ones((self.iterations + 1, len(sample.truth)))
        self.history_ = {}
        finished = _Iterations(folder, self.history_)
        levels: tuple[Inputs, Inputs] | None = None
        against_data: Floats | None = None
        for i in range(self.iterations):
            push = finished.read(f"push-{i}")
            if push is None:
                levels = levels or (
                    self._inputs(sample.reco, sample.reco[sample.pass_reco]),
                    self._inputs(sample.truth, sample.truth[sample.pass_truth]),
                )
                if against_data is None:
                    against_data = finished.read("ratio-to-data")
                if against_data is None:
                    against_data = self._against_data(sample, levels[0], progress)
                    finished.write("ratio-to-data", against_data)
                push = self._iterate(sample, levels, against_data, i, progress)
                finished.write(f"push-{i}", push)
            self.pushes_[i + 1] = push

    def fit_mean(self, members: Sequence["OmniFold"], *, seed: int = 0) -> Self:
        """Average the weights of an ensemble, `members`, after each iteration; return self.

        They are fitted to one sample, with seeds of their own: the mean has less of the noise of
        initial weights and shuffles (2503.20753). `history_` holds that of each. Raises
        `InputError` for none, and for members of other samples or numbers of iterations.
        """
        if not members:
            raise InputError("members is empty; give at least one fitted OmniFold.")
        shapes = {member.pushes_.shape for member in members}
        if len(shapes) > 1:
            raise InputError(
                f"members have weights of the shapes {', '.join(map(str, sorted(shapes)))}; give"
                " fits to one sample by as many iterations."
            )
        self._begin(seed=seed)
        self.pushes_ = np.mean([member.pushes_ for member in members], axis=0)
        self.history_ = {
            f"member {m}, {key}": epochs
            for m, member in enumerate(members)
            for key, epochs in member.history_.items()
        }
        return self

    def weights(self, iteration: int | None = None) -> Floats:
        """Return the push weights (N,) after `iteration`, the last if None; 0 where not true."""
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
        return torch.from_numpy(np.asarray(table, dtype=np.float64))

    def _against_data(self, sample: UnfoldingSample, reco: Inputs, progress: bool) -> Floats:
        """Learn p_data / p_simulation at detector level; return it at all simulated events (N,)."""
        seen = sample.pass_reco
        parts = two_samples(
            (self._inputs(sample.data, sample.reco[seen]), _at(reco, seen)),
            (sample.data_weight, sample.weight[seen]),
            (sample.data_event, sample.event[seen]),
            self.validation,
            self.seed_,
        )
        return self._learn("data", parts, self.data_members, progress)(reco)

    def _iterate(
        self,
        sample: UnfoldingSample,
        levels: tuple[Inputs, Inputs],
        against_data: Floats,
        i: int,
        progress: bool,
    ) -> Floats:
        """Return the push weights after iteration i + 1."""
        reco, truth = levels
        push, title = self.pushes_[i], f"iteration {i + 1}, step"
        seen, both, weight = sample.pass_reco, sample.both, sample.weight
        mean = float(np.average(push[both], weights=weight[both]))
        pushed = np.where(sample.pass_truth, push, mean) * weight
        pull = push * against_data * (sample.data_weight.sum() / pushed[seen].sum())
        if i > 0:
            of_push = self._average(
                f"{title} 1", reco, (pushed, weight), seen, sample.event, progress
            )
            pull = pull / of_push
        weights = weight * pull, weight
        new = self._average(f"{title} 2", truth, weights, both, sample.event, progress)
        new = np.where(sample.pass_truth, new, 0.0)
        # The mean over the events that both levels see is that of their pull weights.
        return np.asarray(new * ((weight * pull)[both].sum() / (weight * new)[both].sum()))

    def _average(
        self,
        title: str,
        level: Inputs,
        weights: tuple[Floats, Floats],
        rows: Bools,
        event: NDArray[np.int64],
        progress: bool,
    ) -> Floats:
        """Learn E[a / b | event] of events with `weights` a and b (N,); return it at all of them.

        It is the ratio of two samples of the same `rows`, each of total weight 1.
        """
        numerator, denominator = (w[rows] for w in weights)
        parts = same_events(
            _at(level, rows), (numerator, denominator), event[rows], self.validation, self.seed_
        )
        return self._learn(title, parts, self.members, progress)(level)

    def _learn(
        self, title: str, parts: tuple[Dataset, Dataset], members: int, progress: bool
    ) -> Callable[[Inputs], Floats]:
        """Learn the ratio of the events of target 1 to those of target 0, as a function of them."""
        train, validation = parts
        loss = ratio_loss("bce")
        seeds = [derive(self.seed_, title, "member", member) for member in range(members)]
        model: TableRatio | NetworkRatio
        if isinstance(train.inputs, Tensor):
            model = TableRatio(train.inputs.shape[1], members, self.hidden, loss)
            history = model.fit(train, validation, self.training, seeds=seeds, family=self.family)
        else:
            model = NetworkRatio(self._architecture, members, loss)
            options: dict[str, Any] = {"title": title, "progress": progress}
            history = model.fit(train, validation, self.training, seeds=seeds, **options)
        for member, epochs in enumerate(history):
            self.history_[title if members == 1 else f"{title}, member {member}"] = epochs
        return lambda inputs: model(inputs).double().mean(0).exp().numpy()


class _Iterations:
    """Finished iterations in a folder, if there is one.

    `history` is of all that was trained; what is read is added to it.
    """

    def __init__(self, folder: Path | None, history: History) -> None:
        self.folder = folder
        self.history = history

    def read(self, name: str) -> Floats | None:
        """Return the weights of a finished step, None where there are none."""
        if self.folder is None or not (path := self.folder / f"{name}.npy").exists():
            return None
        text = path.with_suffix(".json").read_text()
        self.history |= decode(json.loads(text), History, {})
        return np.asarray(np.load(path, allow_pickle=False))

    def write(self, name: str, values: Floats) -> None:
        """Keep the weights of a step; the history goes first, so that it is there with them."""
        if self.folder is None:
            return
        path = self.folder / f"{name}.npy"
        with atomic_file(path.with_suffix(".json"), force=True) as part:
            part.write_text(json.dumps(encode(self.history, {}, "history")))
        content = io.BytesIO()  # numpy does not say why a file could not be written
        np.save(content, values)
        with atomic_file(path, force=True) as part:
            part.write_bytes(content.getvalue())


def _at(inputs: Inputs, passed: Bools) -> Inputs:
    rows = torch.from_numpy(np.flatnonzero(passed))
    return inputs[rows] if isinstance(inputs, Tensor) else inputs.at(rows)


def _check_support(sample: UnfoldingSample) -> None:
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
