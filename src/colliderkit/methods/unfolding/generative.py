"""Generative unfolding: draw what each measured event was, from a flow p(truth | reco).

2006.06685 for the flow, 2212.08674 for its iteration.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.methods.method import Method
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.unfolding.omnifold import Sample
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

__all__ = ["GenerativeUnfolding"]

Floats = NDArray[np.float64]


class GenerativeUnfolding(Method):
    """Unfold tables of observables by a conditional flow.

    The flow learns p(truth | reco) from simulated events seen at both levels. Its draws for the
    measured events have the simulation's truth in them as a prior; each further iteration takes
    that bias out:

        q(truth) = Int p(truth | reco) p_data(reco) d reco,
        push(truth) = q(truth) / p_simulation(truth),  by a classifier,

    and the flow is trained on, with the simulation weighted by push. One iteration is the plain
    flow. As `truth` stands for events that are seen, push is what holds for the missed ones too.
    A measured event counts by its chance not to be a fake, another classifier's.

    Args:
        iterations: trainings of the flow; `pushes_` keeps the weights after each.
        draws: for each measured event, when push is learned.
        transforms, bins, hidden: of the flow; see `ConditionalFlow`.
        ratio: an unfitted `Ratio`, without parameters, for push and for the fakes.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: of the flow: epochs, batch size, learning rate and the like.

    The simulation's weights must not be negative: ln p of the flow has no maximum then. Those of
    the data may be, as where a background is subtracted.

    After `fit`: `flow_`, `pushes_` (iterations + 1, N), 1 to begin with, and `history_`.
    """

    name: ClassVar[str] = "generative-unfolding"

    def __init__(
        self,
        *,
        iterations: int = 3,
        draws: int = 4,
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (64, 64),
        ratio: Ratio | None = None,
        validation: float = 0.2,
        training: Training = Training(
            epochs=10, batch_size=512, learning_rate=2e-3, schedule="cosine"
        ),
    ) -> None:
        self.iterations = iterations
        self.draws = draws
        self.transforms = transforms
        self.bins = bins
        self.hidden = hidden
        self.ratio = ratio
        self.validation = validation
        self.training = training

    def fit(
        self,
        data: ArrayLike,
        reco: ArrayLike,
        truth: ArrayLike,
        *,
        seed: int = 0,
        progress: bool = False,
        **options: ArrayLike | None,
    ) -> Self:
        """Unfold `data` (D, C) with the simulation `reco` (N, C), `truth` (N, T); return self.

        Further keywords are those of `Sample.checked`.
        """
        sample = Sample.checked(data, reco, truth, **options)
        return self.fit_sample(sample, seed=seed, progress=progress)

    def fit_sample(self, sample: Sample, *, seed: int = 0, progress: bool = False) -> Self:
        """Unfold a checked sample; see `fit`."""
        if self.iterations < 1 or self.draws < 1:
            raise InputError("--iterations and --draws must be at least 1.")
        if (sample.weight < 0).any():
            event = int(np.argmax(sample.weight < 0))
            raise InputError(
                f"the weight of simulated event {event} is {sample.weight[event]:g}; a flow takes"
                " none below 0, use OmniFold."
            )
        both, own = sample.both, sample.weight
        truth, reco = (
            torch.from_numpy(table[both].astype(np.float32))
            for table in (sample.truth, sample.reco)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.flow_ = self._build(truth.shape[1], reco.shape[1])
            self.flow_.fit_scaling(truth, reco)
        self.seed_ = seed
        self.pushes_ = np.ones((self.iterations + 1, len(own)))
        self.history_: list[list[dict[str, Any]]] = []
        push = self.pushes_[0]
        for i in range(self.iterations):
            self._train(truth, reco, own[both] * push[both], sample.event[both], i, progress)
            real = sample.data_weight * self._real(sample, push, i)
            drawn = self.sample(sample.data, draws=self.draws, seed=seed * 1_000 + i)
            ratio = self._ratio().fit(
                drawn.reshape(-1, drawn.shape[-1]),
                sample.truth[both],
                weight=(np.tile(real, self.draws), own[both]),
                event=(np.tile(sample.data_event, self.draws), sample.event[both]),
                seed=seed * 1_000 + i,
            )
            push = np.zeros(len(own))
            push[sample.pass_truth] = ratio.weights(sample.truth[sample.pass_truth])
            # The simulated events that are seen have the yield of the real measured ones.
            push *= real.sum() / (own * push)[both].sum()
            self.pushes_[i + 1] = push
        return self

    def sample(self, data: ArrayLike, *, draws: int = 1, seed: int = 0) -> Floats:
        """Draw truths of measured events (D, C) as (draws, D, T), by the last iteration's flow.

        Their histogram, divided by draws and by the efficiency, is the unfolded spectrum.
        """
        rows = self._rows(data, "data", self._fitted().context)
        drawn = self.flow_.sample(rows.repeat(draws, 1), seed=seed)
        return drawn.double().numpy().reshape(draws, len(rows), -1)

    def log_prob(self, truth: ArrayLike, reco: ArrayLike) -> Floats:
        """Return ln p(truth | reco) of events (N, T) and (N, C), (N,)."""
        x = self._rows(truth, "truth", self._fitted().features)
        c = self._rows(reco, "reco", self.flow_.context)
        with torch.no_grad():
            ln_p: Floats = self.flow_.log_prob(x, c).double().numpy()
        return ln_p

    def weights(self, iteration: int | None = None) -> Floats:
        """Return the push weights (N,) after `iteration`, the last if None; 0 where not true.

        As those of OmniFold they are relative to the simulation's own and hold the yield.
        """
        self._fitted()
        return self.pushes_[-1 if iteration is None else iteration]

    def _fitted(self) -> ConditionalFlow:
        if not hasattr(self, "flow_"):
            raise InputError("nothing is unfolded yet; call fit or load a fitted one.")
        return self.flow_

    def _build(self, features: int, context: int) -> ConditionalFlow:
        return ConditionalFlow(
            features, context, transforms=self.transforms, bins=self.bins, hidden=self.hidden
        )

    def _ratio(self) -> Ratio:
        return Ratio() if self.ratio is None else clone(self.ratio)

    def _train(
        self,
        truth: Tensor,
        reco: Tensor,
        weight: Floats,
        event: NDArray[np.int64],
        iteration: int,
        progress: bool,
    ) -> None:
        """Train the flow on, with the best epoch of weighted events that it does not see."""
        scaled = torch.from_numpy((weight / weight.mean()).astype(np.float32))
        data = Dataset(truth, torch.zeros(len(truth)), scaled, reco)
        held = hash_uniform(event, self.seed_) < self.validation
        train, validation = data.split(held)
        history = fit(
            self.flow_,
            own_loss,
            train,
            validation,
            self.training,
            seed=self.seed_ * 1_000 + iteration,
            title=f"flow, iteration {iteration + 1} of {self.iterations}",
            progress=progress,
        )
        self.history_.append([asdict(epoch) for epoch in history])

    def _real(self, sample: Sample, push: Floats, iteration: int) -> Floats:
        """Return the chance (D,) that a measured event is no fake.

        With B and F the weighted events seen with and without a truth, and r the ratio of their
        densities at detector level, F over B, it is 1 / (1 + r F / B).
        """
        fakes, both = sample.pass_reco & ~sample.pass_truth, sample.both
        seen = sample.weight[both] * push[both]
        # As in OmniFold, the fakes follow the mean weight of the true events.
        share = sample.weight[fakes].sum() / sample.weight[both].sum()
        if not share > 0:
            return np.ones(len(sample.data))
        with warnings.catch_warnings():
            # Fakes where no true event is measured are a matter of course.
            warnings.simplefilter("ignore", UserWarning)
            ratio = self._ratio().fit(
                sample.reco[fakes],
                sample.reco[both],
                weight=(sample.weight[fakes], seen),
                event=(sample.event[fakes], sample.event[both]),
                seed=self.seed_ * 1_000 + 500 + iteration,
            )
        return 1 / (1 + share * ratio.weights(sample.data))

    @staticmethod
    def _rows(values: ArrayLike, what: str, columns: int) -> Tensor:
        table = np.asarray(values, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table
        if table.ndim != 2 or table.shape[1] != columns:
            raise InputError(f"{what} has shape {table.shape}; give (events, {columns}).")
        bad = ~np.isfinite(table)
        if bad.any():
            event, column = np.argwhere(bad)[0]
            raise InputError(
                f"observable {column} of event {event} of {what} is {table[event, column]}."
            )
        return torch.from_numpy(table.astype(np.float32))

    # What follows saves and restores.

    def _parameters(self) -> dict[str, Any]:
        ratio = None if self.ratio is None else self.ratio._parameters()
        return {**super()._parameters(), "ratio": ratio}

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        ratio = parameters["ratio"]
        built = None if ratio is None else Ratio._from_parameters(ratio)
        return super()._from_parameters({**parameters, "ratio": built})

    def _tensors(self) -> dict[str, Tensor]:
        return {**self.flow_.state_dict(), "pushes": torch.from_numpy(self.pushes_)}

    def _state(self) -> dict[str, Any]:
        shape = {"features": self.flow_.features, "context": self.flow_.context}
        return {**shape, "seed": self.seed_, "history": self.history_}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.pushes_ = tensors.pop("pushes").numpy()
        self.seed_, self.history_ = state["seed"], state["history"]
        self.flow_ = self._build(state["features"], state["context"])
        self.flow_.load_state_dict(tensors)
        self.flow_.eval()
