"""Generative unfolding by a conditional flow p(truth | reco), iterated to remove its prior.

2006.06685 for the flow, 2212.08674 for its iteration.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import as_table, as_weight, validation_mask
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.unfolding import Unfolding
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["GenerativeUnfolding"]

Floats = NDArray[np.float64]


class GenerativeUnfolding(Unfolding):
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
        transforms: of the flow; see `ConditionalFlow`.
        bins: of each spline of the flow.
        hidden: widths of the flow's networks.
        ratio: an unfitted `Ratio`, without parameters, for push and for the fakes.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: of the flow: epochs, batch size, learning rate and the like.

    The simulation's weights must not be negative: ln p of the flow has no maximum then. Those of
    the data may be, as where a background is subtracted.

    After `fit`: `flow_`, `pushes_` (iterations + 1, N), 1 to begin with, and `history_` of the
    flow: "iteration 1", ...
    """

    name: ClassVar[str] = "generative-unfolding"

    observables_: tuple[int, int]  # at truth and at detector level
    flow_: ConditionalFlow
    pushes_: Floats
    history_: dict[str, list[Epoch]]

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

    def _fit(
        self, sample: UnfoldingSample, folder: Path | None, resume: bool, progress: bool
    ) -> None:
        for name in ("iterations", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        as_weight(
            sample.weight,
            len(sample.weight),
            "simulation",
            negative="ln p of a flow has no maximum under them (OmniFold takes them)",
        )
        both, weight = sample.both, sample.weight
        truth, reco = (torch.from_numpy(table[both]) for table in (sample.truth, sample.reco))
        self.observables_ = truth.shape[1], reco.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed_, "network"))
            self._rebuild()
            self.flow_.fit_scaling(truth, reco)
        self.pushes_ = np.ones((self.iterations + 1, len(weight)))
        self.history_ = {}
        push = self.pushes_[0]
        for i in range(self.iterations):
            self._train(truth, reco, weight[both] * push[both], sample.event[both], i, progress)
            real = sample.data_weight * self._real(sample, push, i)
            seeds = [derive(self.seed_, part, i) for part in ("draws", "ratio")]
            drawn = self.sample(sample.data, draws=self.draws, seed=seeds[0])
            ratio = self._ratio().fit(
                drawn.reshape(-1, drawn.shape[-1]),
                sample.truth[both],
                weight=(np.tile(real, self.draws), weight[both]),
                event=(np.tile(sample.data_event, self.draws), sample.event[both]),
                seed=seeds[1],
                progress=progress,
            )
            push = np.zeros(len(weight))
            push[sample.pass_truth] = ratio.weights(sample.truth[sample.pass_truth])
            # The simulated events that are seen have the yield of the real measured ones.
            push *= real.sum() / (weight * push)[both].sum()
            self.pushes_[i + 1] = push

    def sample(self, data: ArrayLike, *, draws: int = 1, seed: int = 0) -> Floats:
        """Draw truths of measured events (D, C) as (draws, D, T), by the last iteration's flow.

        Their histogram, divided by draws and by the efficiency, is the unfolded spectrum.
        """
        rows = self._rows(data, "data", self.flow_.context)
        drawn = self.flow_.sample(rows.repeat(draws, 1), seed=seed)
        return drawn.double().numpy().reshape(draws, len(rows), -1)

    def log_prob(self, truth: ArrayLike, reco: ArrayLike) -> Floats:
        """Return ln p(truth | reco) of events (N, T) and (N, C), (N,)."""
        x = self._rows(truth, "truth", self.flow_.features)
        c = self._rows(reco, "reco", self.flow_.context)
        with torch.no_grad():
            ln_p: Floats = self.flow_.log_prob(x, c).double().numpy()
        return ln_p

    def weights(self, iteration: int | None = None) -> Floats:
        """Return the push weights (N,) after `iteration`, the last if None; 0 where not true.

        As those of OmniFold they are relative to the simulation's own and hold the yield.
        """
        return self.pushes_[-1 if iteration is None else iteration]

    def _rebuild(self) -> None:
        self.flow_ = ConditionalFlow(
            *self.observables_, transforms=self.transforms, bins=self.bins, hidden=self.hidden
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
        train, validation = data.split(validation_mask(event, self.validation, self.seed_))
        self.history_[f"iteration {iteration + 1}"] = fit(
            self.flow_,
            own_loss,
            train,
            validation,
            self.training,
            seed=derive(self.seed_, "flow", iteration),
            title=f"flow, iteration {iteration + 1} of {self.iterations}",
            progress=progress,
        )

    def _real(self, sample: UnfoldingSample, push: Floats, iteration: int) -> Floats:
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
                seed=derive(self.seed_, "fakes", iteration),
                progress=False,
            )
        return 1 / (1 + share * ratio.weights(sample.data))

    @staticmethod
    def _rows(values: ArrayLike, what: str, columns: int) -> Tensor:
        table = as_table(values, what)
        if table.shape[1] != columns:
            raise InputError(f"{what} has {table.shape[1]} columns; give the {columns} of fit.")
        return torch.from_numpy(table)
