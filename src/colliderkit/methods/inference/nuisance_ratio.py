"""Ratios that know the nuisance parameters, and the likelihood profiled with them (2105.08742)."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import as_weight
from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.inference import ratios_to_reference
from colliderkit.methods.inference.nuisances import Nuisance, NuisanceMethod
from colliderkit.methods.inference.templates import Templates, fill
from colliderkit.metrics.intervals import profile_path
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import predict
from colliderkit.training.settings import Objective, Training

__all__ = ["EDGES", "UncertaintyAware"]

Floats = NDArray[np.float64]
BACKGROUND, SIGNAL = 0, 1
TERMS, DEGREE = 100, 5  # of the polynomial of Z in the nuisance parameters, at most
NORMALISING = 40_000  # events, at most
EDGES = np.linspace(0, 1, 11)  # of the bins of p_s
LEAST = 0.01  # of a nominal yield: what no nuisance parameter goes below


class UncertaintyAware(NuisanceMethod):
    """Learn p_s(x | theta) / p_b(x | theta), the nuisance parameters theta being inputs.

    Without `nuisances` this is a classifier of signal and background trained by cross-entropy.
    With them there is a third class, the reference: signal and background in equal parts, at
    theta uniform within `reach` steps of nominal. It covers each p(x | theta) and depends on no
    theta, as in the ratios learned against it,

        ln r_p(x, theta) = ln p_p(x | theta) / p_ref(x) - ln Z_p(theta),   p = s, b,

    where a process sees no nuisance parameter that leaves it alone, and Z_p, the mean of the
    learned ratio over the reference, makes densities that sum to one. theta is drawn anew for
    each event and step. The ratios make the extended likelihood of unbinned events,

        ln L(s, theta) = sum_j w_j ln(s(theta) r_s + b(theta) r_b) - s(theta) - b(theta)
                         - sum_i (theta_i - m_i)^2 / 2 w_i^2,

    m_i the nominal theta or what was measured of it, up to a constant. A profile that leaves the
    trained region raises `InputError`. Nuisance parameters that change yields alone are no inputs;
    several yields that change multiply. A mean error eta of ln r_b where the signal is moves the
    best s by sigma(s)^2 eta: with N background events there, eta is about 1 / sqrt(N) at best.

    Args:
        nuisances: what the parameters of the nuisances do.
        network: a name of `colliderkit.networks.NETWORKS`, of those on tables.
        options: keyword arguments of the network.
        reach: the range of the parameters that is trained, in units of their widths.
        columns: names of the table's columns, by which the command line reads them.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    The events that choose the epoch normalise the ratios. After `fit`, beside what
    `NuisanceMethod` has: `shaping_`, the places of the parameters that change shapes;
    `yield_slopes_` (R, 2), d ln yield / d theta of background and signal; and `norms_` (K, 2), the
    coefficients of Z.
    """

    name = "uncertainty-aware"

    shaping_: list[int]
    yield_slopes_: list[list[float]]
    norms_: Tensor

    def __init__(
        self,
        nuisances: Sequence[Nuisance] = (),
        *,
        network: str = "mlp",
        options: Mapping[str, Any] | None = None,
        reach: float = 2.0,
        columns: Sequence[str] = (),
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=500, learning_rate=1e-3),
    ) -> None:
        self.nuisances = nuisances
        self.network = network
        self.options = options
        self.reach = reach
        self.columns = columns
        self.validation = validation
        self.training = training

    def log_ratio(
        self, X: NDArray[np.floating[Any]], theta: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return ln p_s / p_b of events (N, C) at theta (R,), nominal if None; (N,)."""
        x = self._table(X)
        u = self._units(self._nominal() if theta is None else np.asarray(theta, dtype=np.float64))
        rows = torch.cat([x, u.expand(len(x), -1)], 1)
        n = len(x)
        z = predict(self.model_, Dataset(rows, torch.zeros(n), torch.ones(n)), 16384).double()
        if self.nuisances:
            z = z - self._log_norms(u)
        return (z[:, SIGNAL] - z[:, BACKGROUND]).numpy()

    def predict_proba(self, X: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return p_b and p_s of equal prior shares at the nominal theta, (N, 2)."""
        p = 1 / (1 + np.exp(-self.log_ratio(X)))
        return np.column_stack([1 - p, p])

    def templates(
        self,
        X: NDArray[np.floating[Any]],
        y: NDArray[np.integer[Any]],
        weight: Floats,
        nuisances: Sequence[Nuisance] | None = None,
    ) -> Templates:
        """Fill histograms of p_s at nominal theta, of events that the training has not seen."""
        varied = self.nuisances if nuisances is None else nuisances
        return fill(lambda x: self.predict_proba(x)[:, SIGNAL], X, y, weight, EDGES, varied)

    def profile(
        self,
        scan: ArrayLike,
        X: NDArray[np.floating[Any]],
        weight: Floats | None = None,
        *,
        floating: bool = True,
        measured: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return ln L at each signal of `scan` (T,), its maximum over the nuisance parameters.

        `X` (N, C) are observed events, or simulated ones with weights that sum to the expected
        yield. `measured` (R,) is what the measurements behind the constraints found: the centres
        of the Gaussians, nominal if None. Without `floating` the nuisance parameters stay nominal.
        """
        if not self.nuisances:
            raise InputError("a classifier without nuisances has no likelihood to profile.")
        x = self._table(X)
        w = torch.from_numpy(as_weight(weight, len(x), "events")).float()
        step = np.array([nuisance.size for nuisance in self.nuisances])
        nominal = self._nominal()
        centre = nominal if measured is None else np.asarray(measured, dtype=np.float64)
        values = np.asarray(scan, dtype=np.float64)
        if bool((values < 0).any()):
            raise InputError(
                f"the scan begins at s = {values.min():g}; where no background is, a negative"
                " signal has no likelihood: begin at 0."
            )
        if not floating:
            with torch.no_grad():
                start = torch.from_numpy(nominal)
                return self._log_likelihood(x, w, torch.from_numpy(values), start).numpy()
        inverse = np.array([0.0 if n.width is None else n.width**-2 for n in self.nuisances])

        def minus(u: Floats, s: float) -> tuple[float, Floats]:
            theta = torch.tensor(nominal + step * u, requires_grad=True)
            value = self._log_likelihood(x, w, torch.tensor([s], dtype=theta.dtype), theta)[0]
            (slope,) = torch.autograd.grad(value, theta)
            away = nominal + step * u - centre
            penalty = 0.5 * float((inverse * away**2).sum())
            return penalty - float(value.detach()), (inverse * away - slope.numpy()) * step

        bounds = self._bounds()
        # In single precision a network's sum over events is not smooth beyond 1e-8 of itself.
        log_likelihood, pulls = profile_path(
            minus,
            values,
            np.zeros(len(step)),
            begin=self.yields_["signal"],
            bounds=bounds,
            tolerance=1e-8,
        )
        for i, k in np.argwhere((pulls <= bounds[:, 0]) | (pulls >= bounds[:, 1])):
            raise InputError(
                f"nuisance '{self.nuisances[k].name}' is pulled {pulls[i, k]:.1f} steps at"
                f" s = {values[i]:g}, to the end of what was trained;"
                " enlarge reach or narrow the scan."
            )
        return log_likelihood

    def _log_likelihood(self, x: Tensor, weight: Tensor, signals: Tensor, theta: Tensor) -> Tensor:
        """Return the extended ln L of events alone at `signals` (T,), (T,) float64.

        Differentiable in theta (R,).
        """
        u = self._units(theta)
        away = theta - torch.from_numpy(self._nominal())
        slopes = torch.tensor(self.yield_slopes_, dtype=theta.dtype)
        change = (1 + slopes * away[:, None]).clamp(min=LEAST).prod(0)
        signal = signals * change[SIGNAL]
        background = self.yields_["background"] * change[BACKGROUND]
        rows = torch.cat([x, u.expand(len(x), -1)], 1)
        log_b, log_s = (self.model_(rows).double() - self._log_norms(u)).unbind(1)
        # As a correction to the background, which holds at s = 0.
        share = signal[:, None] / background * (log_s - log_b).exp()
        events = (weight.double() * torch.log1p(share)).sum(1)
        events = events + (weight.double() * (log_b + background.log())).sum()
        return events - signal - background

    def _bounds(self) -> Floats:
        """Return the trained region, and where yields stay positive, in steps (R, 2)."""
        bounds = np.full((len(self.nuisances), 2), [-np.inf, np.inf])
        for i, nuisance in enumerate(self.nuisances):
            if i in self.shaping_:
                bounds[i] = -self.reach, self.reach
            for slope in self.yield_slopes_[i]:
                if slope:
                    end = (LEAST - 1) / (slope * nuisance.size)
                    side = 0 if slope > 0 else 1
                    bounds[i, side] = (max, min)[side](bounds[i, side], end)
        return bounds

    def _prepare(self, x: Tensor, label: Tensor, weight: Tensor) -> None:
        """Find the logarithmic derivatives (R, 2) of the yields, and what changes shapes."""
        self.shaping_ = []
        self.yield_slopes_ = []
        for i, nuisance in enumerate(self.nuisances):
            dx, dw = nuisance.slopes(x, label)
            touched = dw[nuisance.touches(label)]
            uneven = float(touched.max() - touched.min()) > 1e-6 * float(touched.abs().max())
            if bool((dx != 0).any()) or uneven:
                self.shaping_.append(i)
            means = [
                float((weight * dw.double())[label == kind].sum()) / total
                for kind, total in enumerate(self.yields_.values())
            ]
            self.yield_slopes_.append(means)

    def _dataset(self, x: Tensor, label: Tensor, weight: Tensor) -> Dataset:
        """Return events of both processes with the same total weight.

        The label travels as a last column: it decides which events a nuisance moves.
        """
        balance = _balanced(label, weight)
        inputs = torch.cat([x, label[:, None]], 1) if self.nuisances else x
        return Dataset(inputs, label, (balance / balance.mean()).float())

    def _module(self) -> nn.Module:
        return self._random_nuisances() if self.nuisances else self.model_

    def _loss(self) -> Objective:
        return ratios_to_reference if self.nuisances else cross_entropy

    def _finish(self, validation: Dataset) -> None:
        self.model_.requires_grad_(False)
        self.norms_ = self._normalise(validation) if self.nuisances else torch.zeros(0, 2)

    def _random_nuisances(self) -> "RandomNuisances":
        return RandomNuisances(self.model_, [self.nuisances[i] for i in self.shaping_], self.reach)

    @torch.no_grad()
    def _normalise(self, validation: Dataset) -> Tensor:
        """Fit Z of both processes by a polynomial in the nuisance parameters, (K, 2)."""
        random = torch.Generator().manual_seed(derive(self.seed_, "normalisation"))
        events = validation.at(torch.arange(min(len(validation), NORMALISING)))
        assert isinstance(events.inputs, Tensor)
        x, label = events.inputs[:, :-1], events.inputs[:, -1]
        nuisances = self._random_nuisances()
        reference, scaled = nuisances.moved(x, label, nuisances.draw(len(x), random))
        share = (events.weight * scaled).double()
        # The same events at each theta: what is left of their fluctuation hardly depends on it.
        points = nuisances.draw(2 * self._powers(torch.zeros(len(self.shaping_))).numel(), random)
        means = []
        for u in points:
            ratios = self.model_(torch.cat([reference, u.expand(len(x), -1)], 1)).double().exp()
            means.append(share @ ratios / share.sum())
        fitted = torch.linalg.lstsq(self._powers(points.double()), torch.stack(means)).solution
        # The last digits of a matrix product depend on where in memory its factors stand.
        return fitted.contiguous().round(decimals=12)

    def _log_norms(self, u: Tensor) -> Tensor:
        """Return ln Z of both processes, (2,) float64."""
        return (self._powers(u)[..., None] * self.norms_).sum(-2).clamp(min=LEAST).log()

    def _powers(self, u: Tensor) -> Tensor:
        """Return the products of parameters (..., D), in reaches, of a polynomial, (..., K)."""
        columns = (u / self.reach).unbind(-1)
        d = len(columns)
        highest = max(k for k in range(DEGREE + 1) if k < 2 or math.comb(d + k, k) <= TERMS)
        terms = [
            math.prod((columns[i] for i in factors), start=u.new_ones(u.shape[:-1]))
            for degree in range(highest + 1)
            for factors in combinations_with_replacement(range(d), degree)
        ]
        return torch.stack(terms, -1)

    def _units(self, theta: Any) -> Tensor:
        """Return the shape-changing parameters in steps from nominal, (D,) float64."""
        values = torch.as_tensor(theta, dtype=torch.float64)
        step = [self.nuisances[i].size for i in self.shaping_]
        nominal = [self.nuisances[i].nominal for i in self.shaping_]
        away = values[self.shaping_] - torch.tensor(nominal, dtype=torch.float64)
        return away / torch.tensor(step, dtype=torch.float64)

    def _nominal(self) -> Floats:
        return np.array([nuisance.nominal for nuisance in self.nuisances], dtype=np.float64)

    def _build(self) -> Model:
        options, c = self._options(), self.columns_
        if not self.nuisances:
            return Model(
                Standardise(c), NETWORKS.build(self.network, inputs=c, outputs=2, **options)
            )
        shaping = [self.nuisances[i] for i in self.shaping_]
        shapes = [
            [i for i, nuisance in enumerate(shaping) if nuisance.process in (process, "all")]
            for process in ("background", "signal")
        ]
        networks = []
        for parameters in shapes:
            network = NETWORKS.build(self.network, inputs=c + len(parameters), outputs=1, **options)
            # Ratios are smooth: torch's narrow weights begin so, He's leave a roughness that
            # triples the error of the background where the signal is.
            for module in network.modules():
                if isinstance(module, nn.Linear):
                    module.reset_parameters()
            networks.append(network)
        return Model(StandardiseWithNuisances(c, self.reach), PerProcess(networks, c, shapes))

    def _rebuild(self) -> None:
        self.model_ = self._build().requires_grad_(False)


class StandardiseWithNuisances(nn.Module):
    """Standardise the first columns; divide the nuisance parameters beside them by the reach."""

    def __init__(self, columns: int, reach: float) -> None:
        super().__init__()
        self.columns = columns
        self.reach = reach
        self.scaling = Standardise(columns)

    def fit(self, values: Tensor) -> "StandardiseWithNuisances":
        """Fit mean and standard deviation to events (N, C)."""
        self.scaling.fit(values)
        return self

    def forward(self, values: Tensor) -> Tensor:
        x, u = values[:, : self.columns], values[:, self.columns :]
        return torch.cat([self.scaling(x), (u / self.reach).float()], 1)


class PerProcess(nn.Module):
    """One network a process, which sees the nuisance parameters that change its shape."""

    def __init__(
        self, networks: Sequence[nn.Module], columns: int, shapes: Sequence[Sequence[int]]
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.inputs = [
            [*range(columns), *(columns + i for i in parameters)] for parameters in shapes
        ]

    def forward(self, values: Tensor) -> Tensor:
        """Return (N, 2) of events with all parameters behind them, (N, C + D)."""
        pairs = zip(self.networks, self.inputs, strict=True)
        return torch.cat([network(values[:, columns]) for network, columns in pairs], 1)


class RandomNuisances(nn.Module):
    """Transform each event by random nuisance parameters, and another time as a reference event.

    Input is a table (B, C + 1) whose last column is the label; the output is what
    `losses.inference.ratios_to_reference` takes. Parameters are new in each training step, and
    the same whenever the module is evaluated.
    """

    def __init__(self, model: nn.Module, nuisances: Sequence[Nuisance], reach: float) -> None:
        super().__init__()
        self.model = model
        self.nuisances = nuisances
        self.reach = reach

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        x, label = values[:, :-1], values[:, -1]
        random = None if self.training else torch.Generator().manual_seed(len(x))
        parameters, hidden, told = (self.draw(len(x), random).to(x.device) for _ in range(3))
        moved, scaled = self.moved(x, label, parameters)
        other, factor = self.moved(x, label, hidden)
        # What the network is told of the reference's parameters is not what made it.
        rows = torch.cat([torch.cat([moved, parameters], 1), torch.cat([other, told], 1)])
        first, second = self.model(rows).chunk(2)
        return torch.cat([first, scaled[:, None], second, factor[:, None]], 1).float()

    def draw(self, count: int, random: torch.Generator | None) -> Tensor:
        """Draw parameters in steps from nominal, (count, D)."""
        return self.reach * (2 * torch.rand(count, len(self.nuisances), generator=random) - 1)

    def moved(self, x: Tensor, label: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return events (B, C) at parameters (B, D) of their own, and their weights' change."""
        weight = torch.ones_like(label)
        for i, nuisance in enumerate(self.nuisances):
            value = nuisance.nominal + nuisance.size * u[:, i]
            x, weight = _each(nuisance, x, weight, label, value)
        return x, weight


def _balanced(label: Tensor, weight: Tensor) -> Tensor:
    """Return weights whose sum is one for signal and one for background."""
    totals = torch.stack([weight[label == kind].sum() for kind in (BACKGROUND, SIGNAL)])
    return weight / totals[label]


def _each(
    nuisance: Nuisance, x: Tensor, weight: Tensor, label: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply a transformation with a value (N,) of its own to each event."""
    if isinstance(nuisance.transform, str):
        return nuisance.apply(x, weight, label, value)

    # A function of the user's may count on one value.
    def one(x: Tensor, weight: Tensor, label: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        moved, scaled = nuisance.apply(x[None], weight[None], label[None], value)
        return moved[0], scaled[0]

    moved, scaled = torch.func.vmap(one)(x, weight, label, value)
    return moved, scaled
