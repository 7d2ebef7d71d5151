"""Learned observables for unfolding: the detector-level number easiest to unfold (2203.16722).

The particle-level quantity t is given by physics, what is measured in its place need not be its
namesake: any function of all that the detector sees may be unfolded, as long as the response
matrix is that of the function.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.binning import bins_of, quantile_edges, rising
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import (
    as_column,
    as_table,
    as_weight,
    event_numbers,
    validation_mask,
)
from colliderkit.losses.unfolding import UnfoldingLoss, inflation
from colliderkit.methods.method import Method
from colliderkit.networks.mlp import MLP
from colliderkit.networks.stack import Stack
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import PIECE, fit_stack

__all__ = ["LearnedObservable"]

Floats = NDArray[np.float64]
RIDGE = 1e-9  # of the linear fit, so that a column that repeats another is no failure


class ResidualRegression(nn.Module):
    """Linear regression of a table and, on top, the mean of M perceptrons of its residual."""

    coefficients: Tensor
    centre: Tensor

    def __init__(self, columns: int, members: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.scaling = Standardise(columns, clip=20.0)
        self.register_buffer("coefficients", torch.zeros(columns + 1, dtype=torch.float64))
        # Mean and width of the target.
        self.register_buffer("centre", torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.stack = Stack(members, columns, hidden)

    def linear(self, scaled: Tensor) -> Tensor:
        """Return the linear part of scaled rows, in widths of the target, (N,)."""
        c = self.coefficients
        return (scaled.double() @ c[1:] + c[0]).float()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return the prediction for rows (N, C), (N,) float64."""
        parts = []
        for piece in x.split(PIECE):
            scaled = self.scaling(piece)
            parts.append(self.linear(scaled) + self.stack(scaled).mean(0))
        return torch.cat(parts).double() * self.centre[1] + self.centre[0]


class Binning(nn.Module):
    """Sort events into bins: those of one number first, moved by a perceptron from there.

    The number f(x) is a regression or one column, `column`, -1 for the regression. The logit of
    bin k is -((f(x) - centre_k) / width_k)^2 / 2, sharpened by one learned factor, and what the
    perceptron adds to it, which begins at zero: every bin has events from the start.
    """

    centre: Tensor
    width: Tensor
    column: Tensor

    def __init__(self, columns: int, bins: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.regression = ResidualRegression(columns, 1, hidden)
        self.register_buffer("centre", torch.zeros(bins, dtype=torch.float64))
        self.register_buffer("width", torch.ones(bins, dtype=torch.float64))
        self.register_buffer("column", torch.tensor(-1))
        self.sharpness = nn.Parameter(torch.zeros(()))
        self.scaling = Standardise(columns, clip=20.0)
        self.network = MLP(columns, bins, hidden=hidden)
        last: Any = self.network.layers[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def begin(self, column: int, edges: Floats) -> None:
        """Begin with the bins of a number, `edges` (bins + 1,) of which the outer are infinite."""
        self.column.fill_(column)
        inner = edges[1:-1]
        first, last = 2 * inner[0] - inner[1], 2 * inner[-1] - inner[-2]
        closed = np.concatenate([[first], inner, [last]])
        self.centre.copy_(torch.from_numpy((closed[1:] + closed[:-1]) / 2))
        self.width.copy_(torch.from_numpy(np.diff(closed) / 2))

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        column = int(self.column)
        f = self.regression(values) if column < 0 else values[:, column].double()
        distance = ((f[:, None] - self.centre) / self.width).float()
        return self.network(self.scaling(values)) - self.sharpness.exp() * distance**2 / 2


class LearnedObservable(Method):
    """Learn one detector-level observable of a table for one particle-level quantity.

    Args:
        criterion: what the observable f(x) of all that is seen, x, is best at:

            - "mean": the squared error, f = E[t | x] under the simulation's spectrum. It is drawn
              to where the simulation has most events; unfolding takes that back, as the response
              matrix is the one of f. What stays is the simulation's belief about all else that
              the response depends on and x does not tell.
            - "flat": the same with each truth bin weighted to a flat density, so that f does not
              lean on the simulated spectrum of t. Rare truth bins are resolved better, populated
              ones worse.
            - "information": the variance of the unfolded truth bins over their counting
              variance, in the geometric mean (`losses.unfolding`): f is the number of one of
              `bins` detector bins, in the order of their mean truth. Events measured well and
              badly at the same E[t | x] can go to different bins, which a number alone cannot
              tell apart. It begins with the bins of the regression or of one column, whichever
              is better, and keeps what is learned from there if held-out events agree.

        truth_edges: of the bins that are unfolded; "flat" and "information" need them.
        bins: detector bins of "information".
        hidden: widths of the perceptron's hidden layers.
        members: perceptrons whose mean is taken; "mean" and "flat".
        columns: names of the table's columns, for messages.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like. "information" needs batches of
            many events in each pair of truth and detector bin.

    The regression begins with the linear fit, which is exact for linear Gaussian detectors; the
    network learns the rest and is kept only where it helps by more than one standard error on
    held-out events. Events that the observable is unfolded with later should be others than those
    it is trained on: a response of training events is too diagonal.

    After `fit`: `model_` and `history_` of "member 0", ... (of the regression, with which
    "information" begins) and of "bins".
    """

    name: ClassVar[str] = "learned-observable"

    columns_: int
    model_: nn.Module
    rank_: Tensor  # of "information": the place of each learned bin in the order of mean truth
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        criterion: Literal["mean", "flat", "information"] = "mean",
        truth_edges: Sequence[float] = (),
        bins: int = 20,
        hidden: Sequence[int] = (64, 64, 64),
        members: int = 1,
        columns: Sequence[str] = (),
        validation: float = 0.2,
        training: Training = Training(
            epochs=20, batch_size=1024, learning_rate=2e-3, schedule="cosine"
        ),
    ) -> None:
        self.criterion = criterion
        self.truth_edges = truth_edges
        self.bins = bins
        self.hidden = hidden
        self.members = members
        self.columns = columns
        self.validation = validation
        self.training = training

    def fit(
        self,
        reco: ArrayLike,
        truth: ArrayLike,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events seen and true, `reco` (N, C), `truth` (N,); return self.

        Negative weights stay negative in the squared error, which is unbiased; "information"
        refuses them, since a detector bin could expect less than nothing. `event` (N,) are whole
        numbers by which events are split, rows if not given. Raises `InputError` where a table or
        weight cannot be used.
        """
        self._check()
        self._begin(seed=seed, folder=folder, resume=resume)
        x = as_table(reco, "reco", self.columns)
        t = as_column(truth, len(x), "truth")
        reason = "a detector bin could expect less than nothing (mean and flat take them)"
        negative = reason if self.criterion == "information" else None
        w = as_weight(weight, len(x), "reco", negative=negative)
        if not t.std() > 0:
            raise InputError(f"the truth is {t[0]:g} in each event; there is nothing to learn.")
        self.columns_ = x.shape[1]
        self.history_ = {}
        numbers = event_numbers(event, len(x), "reco")
        held_out = torch.from_numpy(validation_mask(numbers, self.validation, seed))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        inputs = torch.from_numpy(x)
        if self.criterion == "information":
            self._fit_bins(inputs, t, w, held_out, progress)
        else:
            self._fit_number(inputs, t, w, held_out)
        return self

    def _rebuild(self) -> None:
        if self.criterion == "information":
            self.model_ = Binning(self.columns_, self.bins, self.hidden)
        else:
            self.model_ = ResidualRegression(self.columns_, self.members, self.hidden)

    def predict(self, reco: ArrayLike) -> Floats:
        """Return the observable of events (N, C), (N,) float64.

        It is in units of the truth, or for "information" the number of the detector bin, from 0.
        """
        model, table = self.model_, as_table(reco, "reco", self.columns)
        if table.shape[1] != self.columns_:
            raise InputError(f"reco has {table.shape[1]} columns; give the {self.columns_} of fit.")
        x = torch.from_numpy(table)
        if self.criterion != "information":
            return np.asarray(model(x).numpy())
        return np.asarray(self.rank_.numpy()[self._outputs(x).argmax(1).numpy()], dtype=np.float64)

    def edges(self) -> Floats:
        """Return the edges of the detector bins of "information", (R + 1,)."""
        if self.criterion != "information":
            raise InputError(
                f"criterion is '{self.criterion}'; only 'information' has bins of its own."
            )
        last = int(self.rank_.max())
        return np.linspace(-0.5, last + 0.5, last + 2)

    def _check(self) -> None:
        if self.criterion not in ("mean", "flat", "information"):
            raise InputError(
                f"criterion '{self.criterion}' is unknown; give mean, flat or information."
            )
        if self.members < 1:
            raise InputError(f"members is {self.members}; it must be at least 1.")
        if self.criterion != "mean":
            rising(self.truth_edges, "truth_edges")
        if self.criterion == "information" and self.bins < len(self.truth_edges) - 1:
            raise InputError(
                f"{self.bins} detector bins for {len(self.truth_edges) - 1} truth bins have no"
                " inverse; give at least as many."
            )

    def _fit_number(self, x: Tensor, t: Floats, w: Floats, held_out: Tensor) -> None:
        """Regress the truth."""
        if self.criterion == "flat":
            edges = rising(self.truth_edges, "truth_edges")
            bin_of = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 2)
            content = np.bincount(bin_of, w, len(edges) - 1)
            if (content <= 0).any():
                raise InputError(f"truth bin {int(np.argmin(content))} has no events; merge bins.")
            w = w * (np.diff(edges) / content)[bin_of]
        assert isinstance(self.model_, ResidualRegression)
        self._regress(self.model_, x, t, w, held_out)

    def _regress(
        self, model: ResidualRegression, x: Tensor, t: Floats, w: Floats, held_out: Tensor
    ) -> None:
        """Fit a regression, its linear part first."""
        w = w / w.mean()
        mean = float(np.average(t, weights=w))
        width = float(np.average((t - mean) ** 2, weights=w)) ** 0.5
        model.centre.copy_(torch.tensor([mean, width], dtype=torch.float64))
        target = torch.from_numpy((t - mean) / width)
        weights = torch.from_numpy(w)
        train, validation = (torch.nonzero(rows)[:, 0] for rows in (~held_out, held_out))
        model.scaling.fit(x[train])
        scaled = model.scaling(x)
        rows = torch.cat([torch.ones(len(x), 1), scaled], 1).double()[train]
        weighted = rows * weights[train, None]
        normal = weighted.T @ rows
        normal += RIDGE * torch.trace(normal) * torch.eye(len(normal), dtype=torch.float64)
        model.coefficients.copy_(torch.linalg.solve(normal, weighted.T @ target[train]))
        linear = model.linear(scaled)
        data = Dataset(scaled, target.float(), weights.float())
        histories = fit_stack(
            model.stack,
            lambda z, y: (z - y) ** 2,
            data.at(train),
            data.at(validation),
            self.training,
            seeds=[derive(self.seed_, "member", m) for m in range(model.stack.members)],
            offset=(linear[train], linear[validation]),
        )
        self.history_ = {f"member {m}": epochs for m, epochs in enumerate(histories)}

    def _fit_bins(self, x: Tensor, t: Floats, w: Floats, held_out: Tensor, progress: bool) -> None:
        """Sort events into bins by the variance of what is unfolded."""
        edges = rising(self.truth_edges, "truth_edges")
        bin_of, inside = bins_of(t, edges)
        target = np.where(inside, bin_of, len(edges) - 1)
        model = self.model_
        assert isinstance(model, Binning)
        self._regress(model.regression, x, t, w, held_out)
        model.regression.requires_grad_(False)
        train, validation = (~held_out).numpy(), held_out.numpy()

        def score(number: NDArray[np.int64], rows: NDArray[np.bool_]) -> float:
            """Return the mean ln inflation of bins by their numbers, of some events."""
            cells = target[rows] * self.bins + number[rows]
            joint = np.bincount(cells, w[rows], len(edges) * self.bins).reshape(len(edges), -1)
            matrix = torch.from_numpy(joint)
            return float(inflation(matrix[:-1], matrix[-1]).log().mean())

        # Bins that the truth bins have equal shares of.
        share = 1 / np.bincount(target, w, len(edges)).clip(min=w.mean())
        share[-1] = 0.0
        numbers = [x[:, i].double().numpy() for i in range(self.columns_)]
        starts = []
        for column, values in enumerate([*numbers, model.regression(x).numpy()]):
            start = quantile_edges(values, self.bins, w * share[target])
            if len(start) == self.bins + 1:
                inflated = score(np.searchsorted(start[1:-1], values, side="right"), train)
                starts.append((inflated, -1 if column == self.columns_ else column, start))
        if not starts:
            raise InputError(
                f"the events seen have fewer than {self.bins} different values; give fewer bins."
            )
        model.begin(*min(starts, key=lambda start: start[0])[1:])
        model.scaling.fit(x[~held_out])
        before = self._outputs(x).argmax(1).numpy()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        data = Dataset(x, torch.from_numpy(target), torch.from_numpy(w / w.mean()).float())
        parts = []
        for side in (~held_out, held_out):
            rows = torch.nonzero(side)[:, 0]
            # The loss of a small rest of events would be that of another, worse experiment.
            size = min(self.training.batch(len(x)), len(rows))
            parts.append(data.at(rows[: len(rows) // size * size]))
        self.history_["bins"] = fit(
            model,
            UnfoldingLoss(len(edges) - 1),
            parts[0],
            parts[1],
            self.training,
            seed=derive(self.seed_, "bins"),
            title=self.name,
            progress=progress,
        )
        number = self._outputs(x).argmax(1).numpy()
        if score(number, validation) > score(before, validation):
            model.load_state_dict(state)
            number = before
        content = np.bincount(number, w, self.bins)
        mean = np.bincount(number, w * t, self.bins) / np.where(content > 0, content, 1)
        # Bins that no event is put into come last, and share the number of the last that has any.
        order = np.argsort(np.where(content > 0, mean, np.inf), kind="stable")
        rank = np.empty(self.bins, dtype=np.int64)
        rank[order] = np.arange(self.bins)
        self.rank_ = torch.from_numpy(np.minimum(rank, int((content > 0).sum()) - 1))

    def _outputs(self, x: Tensor) -> Tensor:
        return predict(self.model_, Dataset(x, torch.zeros(len(x)), torch.ones(len(x))), PIECE)
