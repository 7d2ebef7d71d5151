"""Calibration by densities: maximum likelihood of p(x | z) (2404.18992), and the posterior."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table, validation_mask
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.response import Response
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["FlowCalibration", "Posterior"]

BINS = 100  # of a response curve, and of the local means of weights
FEWEST = 50  # events of such a mean
REACH = 4.0  # resolutions to each side, in which the maximum is looked for
POINTS = 17
ROUNDS = 4  # of halving the step
HALVINGS = 5  # of the width that the curvature is taken over, at most
RECENTRED = 8  # times at most, where the maximum is at an end
PIECE = 1 << 14  # densities at a time
NODES = 16
FLOW = Training(epochs=10, batch_size=512, learning_rate=2e-3, schedule="cosine", devices=1)


class Flows(Calibration):
    """Flow that learns what a closed form leaves, and is kept where its likelihood is greater."""

    resumable: ClassVar[bool] = True
    flow_: ConditionalFlow
    history_: dict[str, list[Epoch]]
    learned_: bool

    def __init__(
        self,
        *,
        transforms: int = 2,
        bins: int = 8,
        hidden: tuple[int, ...] = (64, 64),
        validation: float = 0.2,
        training: Training = FLOW,
    ) -> None:
        self.transforms = transforms
        self.bins = bins
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _built(self, features: int, context: int) -> ConditionalFlow:
        return ConditionalFlow(
            features,
            context,
            transforms=self.transforms,
            bins=self.bins,
            hidden=tuple(self.hidden),
        )

    def _train(
        self, x: Tensor, context: Tensor, table: Table, seed: int, training: dict[str, Any]
    ) -> None:
        """Train the flow on x (N, F) given the context (N, C); set `history_` and `learned_`.

        The flow is better than the normal density if the mean ln p of the held events is greater
        by more than one standard error.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "weights"))
            self._rebuild()
        flow = self.flow_.fit_scaling(x, context)
        data = Dataset(x, torch.zeros(len(x)), torch.from_numpy(table.weight).float(), context)
        train, held = data.split(validation_mask(table.event, self.validation, seed))
        settings, seed = self.training, derive(seed, "training")
        epochs = fit(flow, own_loss, train, held, settings, seed=seed, title="flow", **training)
        self.history_ = {"flow": epochs}
        flow.eval()
        assert isinstance(held.inputs, Tensor)
        assert held.context is not None
        with torch.no_grad():
            pieces = zip(held.inputs.split(PIECE), held.context.split(PIECE), strict=True)
            density = torch.cat([flow.log_prob(a, c) for a, c in pieces])
        better = (held.weight * (density - _normal(held.inputs))).double()
        self.learned_ = bool(better.mean() > better.std() / len(better) ** 0.5)


class FlowCalibration(Flows):
    """Estimate the truth by the maximum over z of the likelihood p(x, theta | z), a flow's.

    With f and sigma the response curves of each column of y = (x, theta), and R the correlation
    of what is left,

        u = L^-1 (y - f(z)) / sigma(z),    L L^T = R,
        ln p(y | z) = ln q(u | r(z)) - sum ln sigma(z) + const.

    q begins as the normal density, and is a spline flow where that has a greater likelihood for
    held events by more than one standard error; r is the rank of z, constant beyond the truths
    calibrated with. The maximum is looked for on a grid and by parabolas; the resolution is that
    of the parabola through ln p at the maximum and one resolution to each side.

    Weights are taken over their local mean along the truth: p(y | z) knows no spectrum, and one
    that is a weight leaves the estimate where it was. Of a skewed response the most probable truth
    is not the inverse of a median: behind a long lower tail it lies lower, by what mode and median
    of the response differ.

    Features must be continuous: a number of tracks wants a uniform number within +-1/2 added.
    Needs zuko.

    Args:
        transforms, bins, hidden: of the flow; see `ConditionalFlow`.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `responses_`, one a column, `flow_`, `history_` and `learned_`, whether q is the
    flow.
    """

    name: ClassVar[str] = "flow-calibration"
    responses_: list[Response]
    root_: Floats

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        weight = _levelled(table.weight, truth)
        table = replace(table, weight=weight)
        self.responses_ = [
            Response.fitted(column, truth, weight, BINS, "mean", f" of column {number}")
            for number, column in enumerate(table.values.T)
        ]
        self.responses_[0].rising()
        pulls = self._pulls(table.values, truth)
        correlation = (weight[:, None] * pulls).T @ pulls / weight.sum()
        self.root_ = np.linalg.cholesky(correlation + 1e-9 * np.eye(len(correlation)))
        u = torch.from_numpy(np.linalg.solve(self.root_, pulls.T).T).float()
        context = torch.from_numpy(self._rank(truth))[:, None].float()
        self._train(u, context, table, seed, training)

    def _rebuild(self) -> None:
        self.flow_ = self._built(len(self.names_), 1)

    def log_likelihood(self, measured: Floats, features: Floats, truth: Floats) -> Floats:
        """Return ln p(x, theta | z) of events (N,), (N, F) and truths (N, G), (N, G)."""
        columns = np.column_stack([measured, features])
        parts = []
        rows = max(1, PIECE // truth.shape[1])
        for start in range(0, len(truth), rows):
            z = truth[start : start + rows]
            many = np.repeat(columns[start : start + rows], z.shape[1], 0)
            parts.append(self._log_likelihood(many, z.ravel()).reshape(z.shape))
        return np.concatenate(parts)

    def _log_likelihood(self, columns: Floats, z: Floats) -> Floats:
        u = np.linalg.solve(self.root_, self._pulls(columns, z).T).T
        if self.learned_:
            context = torch.from_numpy(self._rank(z))[:, None].float()
            with torch.no_grad():
                density = self.flow_.log_prob(torch.from_numpy(u).float(), context).double().numpy()
        else:
            density = _normal(torch.from_numpy(u)).numpy()
        scale = np.log(np.diag(self.root_)).sum()
        for response in self.responses_:
            scale = scale + response.log_spread(z)
        return np.asarray(density - scale)

    def _predict(self, columns: Floats) -> Calibrated:
        x, features = columns[:, 0], columns[:, 1:]
        # The reach is that of the measured number alone; features make it narrower.
        z, width = self.responses_[0].calibrated(x)
        steps = np.linspace(-REACH, REACH, POINTS)
        todo = np.arange(len(x))
        for _ in range(RECENTRED):
            grid = z[todo, None] + steps * width[todo, None]
            best = self.log_likelihood(x[todo], features[todo], grid).argmax(1)
            z[todo] = grid[np.arange(len(todo)), best]
            todo = todo[(best == 0) | (best == POINTS - 1)]
            if len(todo) == 0:
                break
        else:
            event = int(todo[0])
            raise InputError(
                f"the likelihood of event {event}, measured as {x[event]:.6g}, has no maximum;"
                " its resolution cannot be defined, leave it out."
            )
        h = REACH / (POINTS - 1) * width
        rows = np.arange(len(x))
        for _ in range(ROUNDS):
            grid = z[:, None] + np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * h[:, None]
            z = grid[rows, self.log_likelihood(x, features, grid).argmax(1)]
            h = h / 2
        left, top, right = self._around(x, features, z, 2 * h)
        curve = np.minimum(left - 2 * top + right, -1e-12)
        z = z + 2 * h * np.clip(0.5 * (left - right) / curve, -0.5, 0.5)
        # With several maxima the likelihood need not fall over one width: look nearer there.
        for _ in range(HALVINGS):
            left, top, right = self._around(x, features, z, width)
            flat = ~(2 * top - left - right > 0)
            if not flat.any():
                break
            width = np.where(flat, width / 2, width)
        # The second time with the width that the first has found.
        for last in (False, True):
            left, top, right = self._around(x, features, z, width)
            fall = 2 * top - left - right
            width = np.where(
                fall > 0, width / np.sqrt(np.maximum(fall, 1e-300)), width if last else np.nan
            )
        return Calibrated(z, width)

    def _around(self, x: Floats, features: Floats, z: Floats, h: Floats) -> Floats:
        """Return ln p at z - h, z and z + h, (3, N)."""
        return self.log_likelihood(x, features, np.stack([z - h, z, z + h], 1)).T

    def _pulls(self, columns: Floats, z: Floats) -> Floats:
        """Return (y - f(z)) / sigma(z), (N, 1 + F)."""
        pulls = [
            (column - response.location(z)) / response.spread(z)
            for column, response in zip(columns.T, self.responses_, strict=True)
        ]
        return np.stack(pulls, 1)

    def _rank(self, z: Floats) -> Floats:
        knots = self.responses_[0].location.knots
        return np.interp(z, knots, np.linspace(-1, 1, len(knots)))


class Posterior(Flows):
    """Estimate the truth by mean and standard deviation of the posterior p(z | x, theta), a flow's.

    For comparison: the posterior is p(x | z) p(z) / p(x), with the sample's own p(z) in it, so
    that its mean is what `TruthRegression` learns by the squared loss. It begins as normal about
    the straight line of least squares, and is a flow of what is left where that is better, as in
    `FlowCalibration`, whose arguments it has. Mean and deviation are sums over the flow's noise at
    the nodes of Gauss and Hermite, without random numbers. Needs zuko.

    After `fit`: `line_`, `width_`, `flow_`, `history_` and `learned_`.
    """

    name: ClassVar[str] = "posterior-calibration"
    prior_dependent: ClassVar[bool] = True
    line_: Floats
    width_: float

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        # About the means: far from zero a column is hardly another than the constant.
        middle = np.average(table.values, axis=0, weights=table.weight)
        columns = _with_constant(table.values - middle)
        root = np.sqrt(table.weight)
        self.line_ = np.asarray(np.linalg.lstsq(columns * root[:, None], truth * root)[0])
        self.line_[0] -= middle @ self.line_[1:]
        rest = truth - _with_constant(table.values) @ self.line_
        self.width_ = float(np.average(rest**2, weights=table.weight) ** 0.5)
        u = torch.from_numpy(rest / self.width_)[:, None].float()
        context = torch.from_numpy(table.values)
        self._train(u, context, table, seed, training)

    def _rebuild(self) -> None:
        self.flow_ = self._built(1, len(self.names_))

    def _predict(self, columns: Floats) -> Calibrated:
        middle = _with_constant(columns) @ self.line_
        if not self.learned_:
            return Calibrated(middle, np.full(len(columns), self.width_))
        nodes, share = np.polynomial.hermite_e.hermegauss(NODES)
        noise = torch.from_numpy(nodes).float()[:, None]
        parts = []
        with torch.no_grad():
            for piece in torch.from_numpy(columns).split(max(1, PIECE // NODES)):
                context = piece.repeat_interleave(NODES, 0)
                drawn = self.flow_.decode(noise.repeat(len(piece), 1), context)
                parts.append(drawn.double().view(len(piece), NODES))
        u = torch.cat(parts).numpy()
        share = share / share.sum()
        mean = u @ share
        spread = np.sqrt((u - mean[:, None]) ** 2 @ share)
        return Calibrated(middle + self.width_ * mean, self.width_ * spread)


def _levelled(weight: Floats, truth: Floats) -> Floats:
    """Return weights (N,) over their local mean along the truth (N,).

    A weight that is a function of the truth says nothing of p(x | z), and costs events: on a
    falling spectrum all but the lowest truths would hardly be learned from.
    """
    bins = min(BINS, len(truth) // FEWEST)
    if bins < 2:
        return weight
    order = np.argsort(truth, kind="stable")
    parts = np.array_split(order, bins)
    middle = np.array([truth[part].mean() for part in parts])
    mean = np.array([weight[part].mean() for part in parts])
    known = mean > 0
    level = np.exp(np.interp(truth, middle[known], np.log(mean[known])))
    return np.asarray(weight / level)


def _with_constant(columns: Floats) -> Floats:
    return np.column_stack([np.ones(len(columns)), columns])


def _normal(u: Tensor) -> Tensor:
    """Return ln N(u; 0, 1) of rows (N, F), (N,)."""
    return -0.5 * (u.square() + np.log(2 * np.pi)).sum(1)
