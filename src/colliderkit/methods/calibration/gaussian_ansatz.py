"""Maximum likelihood by the Gaussian Ansatz: estimate and resolution are read off (2205.03413)."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import Floats, Table, as_table, validation_mask
from colliderkit.losses.calibration import MUTUAL_INFORMATION_LOSSES, contrasts
from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.response import Response
from colliderkit.metrics.value import Value
from colliderkit.networks.gaussian_ansatz import GaussianAnsatzNetwork
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["GaussianAnsatz"]

BINS = 100  # of the response curve
SIGNIFICANT = 5.0  # sigma by which the measured must depend on the truth
PIECE = 1 << 14
TRUTHS = 512  # drawn for each event, where the mutual information is measured


class WithNegatives(nn.Module):
    """Contrast each event's truth with those of K other events of the batch (negatives)."""

    def __init__(self, ansatz: GaussianAnsatzNetwork, others: int) -> None:
        super().__init__()
        self.ansatz = ansatz
        self.others = others

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return T of (B, C) and (B, D), (B, K + 1)."""
        # Batches are in random order: a neighbour's truth is a draw from p(z).
        shifts = range(min(self.others, len(values) - 1) + 1)
        truths = torch.stack([context.roll(shift, 0) for shift in shifts], 1)
        scores: Tensor = self.ansatz(values, mask, truths)
        return scores


class GaussianAnsatz(Calibration):
    """Learn ln p(x | z) / p(x) in a form whose maximum over z is an output of the network.

    See `networks.gaussian_ansatz`. The likelihood ratio is that for which

        -(E_joint[T] - ln E_marginal[e^T])

    is least. The published loss takes the second mean over the events of a batch, pairs of x and z
    of different events ("donsker-varadhan"). "contrast" takes it for each x apart, over its own z
    and those of `others`: the same maximum over z, with gradients that are unbiased and bounded.
    The training begins at the answer for a normal p(x | z) with a mean linear in z, and what it
    learns is kept where it improves the contrast of held events by more than one standard error.

    One measured number is first put through the inverse of its response curve, which changes
    nothing in its likelihood ratio; truths of D numbers, (N, D), need at least as many measured
    and features. Weighted events are drawn anew in proportion to their weights.

    Args:
        loss: "contrast" or "donsker-varadhan".
        others: K.
        hidden: widths of the networks.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `history_`, and `learned_`, whether what was learned is kept.
    """

    name: ClassVar[str] = "gaussian-ansatz"
    several: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    response_: Response | None
    scaling_: Standardise
    truth_scaling_: Standardise
    network_: GaussianAnsatzNetwork
    history_: dict[str, list[Epoch]]
    learned_: bool

    def __init__(
        self,
        *,
        loss: Literal["contrast", "donsker-varadhan"] = "contrast",
        others: int = 8,
        hidden: tuple[int, ...] = (64, 64),
        validation: float = 0.2,
        training: Training = Training(
            epochs=20, batch_size=512, learning_rate=1e-3, schedule="one-cycle", devices=1
        ),
    ) -> None:
        self.loss = loss
        self.others = others
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        if self.loss not in MUTUAL_INFORMATION_LOSSES:
            known = " or ".join(MUTUAL_INFORMATION_LOSSES)
            raise InputError(f"loss is '{self.loss}'; choose {known}.")
        if self.others < 1:
            raise InputError(f"others is {self.others}; it must be at least 1.")
        self.response_ = None
        if truth.shape[1] == 1:
            self.response_ = Response.fitted(
                table.values[:, 0], truth[:, 0], table.weight, BINS, "mean"
            ).rising()
        columns = self._inverted(table.values)
        held = validation_mask(table.event, self.validation, seed)
        random = np.random.default_rng(derive(seed, "draws"))
        rows = []
        for part in (np.flatnonzero(~held), np.flatnonzero(held)):
            share = table.weight[part] / table.weight[part].sum()
            equal = np.ptp(share) == 0
            # In random order, also where they are not shuffled.
            rows.append(
                random.permutation(part) if equal else random.choice(part, len(part), p=share)
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "weights"))
            self._rebuild()
        self.scaling_.fit(torch.from_numpy(columns[rows[0]]))
        self.truth_scaling_.fit(torch.from_numpy(truth[rows[0]]))
        inputs, truths = self._inputs(columns), _scaled(self.truth_scaling_, truth)
        self._start(inputs[rows[0]].double(), truths[rows[0]].double())
        data = Dataset(inputs, torch.zeros(len(inputs)), torch.ones(len(inputs)), truths)
        train, validation = (data.at(torch.from_numpy(numbers)) for numbers in rows)
        model = WithNegatives(self.network_, self.others)
        state = {k: v.clone() for k, v in self.network_.state_dict().items()}
        before = self._contrasts(model, validation)
        self.history_ = {
            "network": fit(
                model,
                MUTUAL_INFORMATION_LOSSES[self.loss],
                train,
                validation,
                self.training,
                seed=derive(seed, "training"),
                title="Gaussian Ansatz",
                **training,
            )
        }
        better = before - self._contrasts(model, validation)
        self.learned_ = bool(better.mean() > better.std() / len(better) ** 0.5)
        if not self.learned_:
            self.network_.load_state_dict(state)

    def _start(self, x: Tensor, z: Tensor) -> None:
        """Set the answer for x = a + W z + noise of covariance S, both (N, ...) in units.

        B = (W^T S^-1 W)^-1 W^T S^-1 (x - a), C = -W^T S^-1 W.
        """
        ones = torch.cat([torch.ones(len(z), 1, dtype=z.dtype), z], 1)
        line = torch.linalg.lstsq(ones, x).solution
        w = line[1:].T
        noise = torch.cov((x - ones @ line).T).reshape(x.shape[1], x.shape[1])
        noise = noise + 1e-9 * torch.eye(len(noise), dtype=z.dtype)  # columns may be alike
        gain = torch.linalg.solve(noise, w).T
        precision = gain @ w
        # A truth without influence on x would have 1 / N here, by chance.
        if float(torch.linalg.eigvalsh(precision)[0]) * len(z) < SIGNIFICANT**2:
            raise InputError(
                "what is measured does not depend on the truth, or on not as many combinations as"
                " the truth has numbers; its resolution cannot be defined."
            )
        slope = torch.linalg.solve(precision, gain)
        self.network_.start(slope, -slope @ line[0], precision)

    def _predict(self, columns: Floats) -> Calibrated:
        estimate, covariance = self._maximum(columns)
        resolution = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        if estimate.shape[1] == 1:
            return Calibrated(estimate[:, 0], resolution[:, 0])
        return Calibrated(estimate, resolution)

    def covariance(self, measured: ArrayLike, features: ArrayLike | None = None) -> Floats:
        """Return the covariance of the estimates of each event, (N, D, D)."""
        return self._maximum(self._checked(measured, features))[1]

    def information(
        self,
        measured: ArrayLike,
        truth: ArrayLike,
        features: ArrayLike | None = None,
        *,
        seed: int = 0,
    ) -> Value:
        """Return a lower bound on the mutual information I(X; Z) in nats, with its error.

        It is minus the contrast with 512 other truths of the sample for each event, in which A(x)
        has no part: I itself where T is the likelihood ratio and e^I well below 512.
        """
        columns = self._checked(measured, features)
        z = as_table(truth, "truth")
        if z.shape != (len(columns), self.range_.shape[1]):
            raise InputError(
                f"truth: has shape {z.shape} for {len(columns)} events; give the"
                f" {self.range_.shape[1]} of fit for each."
            )
        inputs, truths = self._inputs(self._inverted(columns)), _scaled(self.truth_scaling_, z)
        random = torch.Generator().manual_seed(derive(seed, "truths"))
        parts = []
        for start in range(0, len(inputs), PIECE // 16):
            piece = slice(start, start + PIECE // 16)
            count = len(inputs[piece])
            drawn = torch.randint(len(inputs), (count, TRUTHS), generator=random)
            both = torch.cat([truths[piece][:, None], truths[drawn]], 1)
            with torch.no_grad():
                t = self.network_(inputs[piece], None, both).double()
            parts.append(-contrasts(t))
        each = torch.cat(parts)
        return Value(float(each.mean()), float(each.std()) / len(each) ** 0.5)

    @torch.no_grad()
    def _maximum(self, columns: Floats) -> tuple[Floats, Floats]:
        """Return maximum (N, D) and covariance (N, D, D) of rows (N, 1 + F)."""
        parts = []
        for x in self._inputs(self._inverted(columns)).split(PIECE):
            parts.append((self.network_.estimate(x), self.network_.covariance(x)))
        estimate, covariance = (torch.cat(part).double() for part in zip(*parts, strict=True))
        std = self.truth_scaling_.std
        scaled = covariance * std[:, None] * std
        return self.truth_scaling_.restored(estimate).numpy(), scaled.numpy()

    @torch.no_grad()
    def _contrasts(self, model: nn.Module, data: Dataset) -> Floats:
        assert isinstance(data.inputs, Tensor)
        assert data.context is not None
        parts = []
        for start in range(0, len(data), PIECE):
            piece = slice(start, start + PIECE)
            parts.append(contrasts(model(data.inputs[piece], None, data.context[piece])))
        return torch.cat(parts).double().numpy()

    def _inverted(self, columns: Floats) -> Floats:
        """Return columns (N, 1 + F) with the inverse of the response in the first."""
        if self.response_ is None:
            return columns
        return np.column_stack([self.response_.inverse(columns[:, 0]), columns[:, 1:]])

    def _inputs(self, columns: Floats) -> Tensor:
        return _scaled(self.scaling_, columns)

    def _rebuild(self) -> None:
        columns, truths = len(self.names_), self.range_.shape[1]
        self.network_ = GaussianAnsatzNetwork(columns, truths, tuple(self.hidden))
        self.scaling_, self.truth_scaling_ = Standardise(columns), Standardise(truths)


def _scaled(scaling: Standardise, table: Floats) -> Tensor:
    """Return rows in units of the spread, float32; not clipped, as a straight line goes on."""
    return scaling.unclipped(torch.from_numpy(table))
