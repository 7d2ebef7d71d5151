"""Ratios that know the nuisance parameters, and the likelihood profiled with them (2105.08742)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.losses.classification import cross_entropy
from colliderkit.methods.inference_aware import checked
from colliderkit.methods.nuisances import Nuisance, NuisanceMethod
from colliderkit.networks import build
from colliderkit.networks.model import Model
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import Epoch, Training, predict
from colliderkit.training.fit import fit as train

__all__ = ["UncertaintyAware"]

Floats = NDArray[np.float64]
BACKGROUND, SIGNAL, REFERENCE = 0, 1, 2


class UncertaintyAware(NuisanceMethod):
    """Learn p_s(x | theta) / p_b(x | theta), the nuisance parameters theta being inputs.

    Without `nuisances` this is a classifier of signal and background trained by cross-entropy.
    With them there is a third class, the reference: signal and background in equal parts at the
    nominal theta, given to the network with any theta. Its outputs z are then

        ln r_p(x, theta) = ln p_p(x | theta) / p_ref(x) = z_p - z_ref,   p = s, b,

    and make the extended likelihood of unbinned events, up to a constant,

        ln L(s, theta) = sum_j w_j ln(s r_s + b r_b) - s - b(theta) - sum_i (theta_i)^2 / 2 w_i^2,

    theta_i there from nominal. Trained is at theta uniform within `reach` steps of nominal, the
    only region where the ratios can be trusted: a profile that leaves it raises `InputError`.
    Nuisance parameters that change yields alone are no inputs.
    """

    name = "uncertainty-aware"

    def __init__(
        self,
        nuisances: Sequence[Nuisance] = (),
        *,
        network: str = "mlp",
        options: Mapping[str, Any] | None = None,
        reach: float = 2.0,
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=500, learning_rate=1e-3),
    ) -> None:
        self.nuisances = nuisances
        self.network = network
        self.options = options
        self.reach = reach
        self.validation = validation
        self.training = training

    def fit(
        self,
        X: NDArray[np.floating[Any]],
        y: NDArray[np.integer[Any]],
        weight: Floats | None = None,
        *,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events X (N, C), y (N,) 1 for signal and 0 for background; return self.

        The weights of a process sum to its expected yield; negative ones are refused. Held
        events choose the epoch and, with nuisance parameters, normalise the ratios.
        """
        if folder is None:
            with TemporaryDirectory(prefix="colliderkit-") as temporary:
                options: dict[str, Any] = {"seed": seed, "resume": resume, "progress": progress}
                return self.fit(X, y, weight, folder=temporary, **options)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        x, label, weights = checked(X, y, weight)
        self.seed_ = seed
        self.columns_ = x.shape[1]
        self._find_slopes(x, label, weights)
        random = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(x), generator=random)
        cut = int(self.validation * len(x))
        held = order[:cut]
        data, validation = (
            self._dataset(x[part], label[part], weights[part], random)
            for part in (order[cut:], held)
        )
        self.reference_ = x[held] if self.shaping_ else x[:0]
        balance = _balanced(label[held], weights[held])
        self.reference_weight_ = balance / balance.sum() if self.shaping_ else balance[:0]
        torch.manual_seed(seed)
        self.model_ = self._build()
        scaling: Any = self.model_.representation
        scaling.fit(data.inputs)
        self.history_: list[Epoch] = train(
            self.model_,
            cross_entropy,
            data,
            validation,
            self.training,
            folder=folder,
            seed=seed,
            resume=resume,
            title=self.name,
            progress=progress,
        )
        return self

    def log_ratio(
        self, X: NDArray[np.floating[Any]], theta: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return ln p_s / p_b of events (N, C) at theta (R,), nominal if None; (N,)."""
        self._check_fitted()
        x = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
        u = self._units(self._nominal() if theta is None else np.asarray(theta, dtype=np.float64))
        rows = torch.cat([x, u.float().expand(len(x), -1)], 1)
        n = len(x)
        z = predict(self.model_, Dataset(rows, torch.zeros(n), torch.ones(n)), 16384).double()
        return (z[:, SIGNAL] - z[:, BACKGROUND]).numpy()

    def predict_proba(self, X: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return p_b and p_s of equal prior shares at the nominal theta, (N, 2)."""
        p = 1 / (1 + np.exp(-self.log_ratio(X)))
        return np.column_stack([1 - p, p])

    def profile(
        self,
        scan: ArrayLike,
        X: NDArray[np.floating[Any]],
        weight: Floats | None = None,
        *,
        floating: bool = True,
    ) -> NDArray[np.float64]:
        """Return ln L at each signal of `scan` (T,), its maximum over the nuisance parameters.

        `X` (N, C) are observed events, or simulated ones with weights that sum to the expected
        yield. Without `floating` the nuisance parameters stay nominal.
        """
        self._check_fitted()
        if not self.nuisances:
            raise InputError("a classifier without nuisances has no likelihood to profile.")
        x = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
        w = torch.ones(len(x)) if weight is None else torch.from_numpy(np.asarray(weight)).float()
        step = np.array([nuisance.size for nuisance in self.nuisances])
        nominal = self._nominal()
        values = np.asarray(scan, dtype=np.float64)

        def minus(u: Floats, s: float) -> tuple[float, Floats]:
            theta = torch.tensor(nominal + step * u, requires_grad=True)
            value = -self._log_likelihood(x, w, s, theta)
            (slope,) = torch.autograd.grad(value, theta)
            return float(value.detach()), slope.numpy() * step

        found = np.empty(len(values))
        near = np.argsort(np.abs(values - self.yields_["signal"]))
        for side in (values[near] >= values[near[0]], values[near] < values[near[0]]):
            u = np.zeros(len(step))
            for i in near[side]:
                if not floating:
                    found[i] = -minus(u, values[i])[0]
                    continue
                fit = minimize(
                    minus,
                    u,
                    args=(values[i],),
                    jac=True,
                    method="L-BFGS-B",
                    options={"ftol": 1e-8},
                )
                u, found[i] = fit.x, -fit.fun
                for k in self.shaping_:
                    if abs(u[k]) > self.reach:
                        raise InputError(
                            f"nuisance '{self.nuisances[k].name}' is pulled {u[k]:.1f} steps at"
                            f" s = {values[i]:g}, beyond the {self.reach:g} that were trained;"
                            " enlarge reach or narrow the scan."
                        )
        return found

    def _log_likelihood(self, x: Tensor, weight: Tensor, s: float, theta: Tensor) -> Tensor:
        """Return the extended log-likelihood, differentiable in theta (R,), float64."""
        u = self._units(theta)
        away = theta - torch.from_numpy(self._nominal())
        # exp keeps a yield positive however far a fit strays.
        change = torch.exp(
            (torch.tensor(self.yield_slopes_, dtype=theta.dtype) * away[:, None]).sum(0)
        )
        signal, background = s * change[1], self.yields_["background"] * change[0]
        # Only the ratio to the reference over its own events makes densities that sum to one.
        norm = torch.logsumexp(
            self._ratios(self.reference_, u) + self.reference_weight_.log()[:, None], 0
        )
        log_s, log_b = (self._ratios(x, u) - norm).unbind(1)
        density = torch.logaddexp(signal.log() + log_s, background.log() + log_b)
        widths = [nuisance.width for nuisance in self.nuisances]
        inverse = torch.tensor([0.0 if w is None else w**-2 for w in widths], dtype=theta.dtype)
        penalty = 0.5 * (inverse * away**2).sum()
        return (weight.double() * density).sum() - signal - background - penalty

    def _ratios(self, x: Tensor, u: Tensor) -> Tensor:
        """Return ln p_s / p_ref and ln p_b / p_ref, (N, 2) float64."""
        rows = torch.cat([x, u.float().expand(len(x), -1)], 1)
        z = self.model_(rows).double()
        return z[:, [SIGNAL, BACKGROUND]] - z[:, [REFERENCE]]

    def _find_slopes(self, x: Tensor, label: Tensor, weight: Tensor) -> None:
        """Find the yields, their logarithmic derivatives (R, 2), and what changes shapes."""
        sums = [float(weight[label == kind].sum()) for kind in (0, 1)]
        self.yields_ = {"background": sums[0], "signal": sums[1]}
        self.shaping_: list[int] = []
        self.yield_slopes_: list[list[float]] = []
        for i, nuisance in enumerate(self.nuisances):
            dx, dw = nuisance.slopes(x, label)
            touched = dw[nuisance.touches(label)]
            uneven = float(touched.max() - touched.min()) > 1e-6 * float(touched.abs().max())
            if bool((dx != 0).any()) or uneven:
                self.shaping_.append(i)
            means = [
                float((weight * dw.double())[label == kind].sum()) / sums[kind] for kind in (0, 1)
            ]
            self.yield_slopes_.append(means)

    def _dataset(
        self, x: Tensor, label: Tensor, weight: Tensor, random: torch.Generator
    ) -> Dataset:
        """Return events with their theta, and the reference; the classes have equal weight."""
        balance = _balanced(label, weight)
        if not self.shaping_:
            return Dataset(x, label, (balance / balance.mean()).float())
        drawn = 2 * torch.rand(2, len(x), len(self.shaping_), generator=random) - 1
        u = self.reach * drawn
        moved, scaled = x, weight.float()
        for column, i in enumerate(self.shaping_):
            nuisance = self.nuisances[i]
            value = nuisance.nominal + nuisance.size * u[0, :, column]
            moved, scaled = _each(nuisance, moved, scaled, label, value)
        own = torch.where(weight > 0, scaled.double() / weight, 0.0)
        inputs = torch.cat([torch.cat([moved, u[0]], 1), torch.cat([x, u[1]], 1)])
        target = torch.cat([label, torch.full_like(label, REFERENCE)])
        # Signal and background weigh one each, the reference as much as both would halved.
        total = torch.cat([balance * own, balance / 2])
        return Dataset(inputs, target, (total / total.mean()).float())

    def _units(self, theta: Any) -> Tensor:
        """Return the shape-changing parameters in steps from nominal, (D,) float64."""
        values = torch.as_tensor(theta, dtype=torch.float64)
        step = [self.nuisances[i].size for i in self.shaping_]
        nominal = [self.nuisances[i].nominal for i in self.shaping_]
        kept = values[self.shaping_]
        return (kept - torch.tensor(nominal, dtype=torch.float64)) / torch.tensor(
            step, dtype=torch.float64
        )

    def _nominal(self) -> Floats:
        return np.array([nuisance.nominal for nuisance in self.nuisances], dtype=np.float64)

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise InputError("the ratio is not fitted; call fit or load a fitted one.")

    def _build(self) -> Model:
        options = {"hidden": (100, 100)} if self.options is None else dict(self.options)
        size = self.columns_ + len(self.shaping_)
        outputs = 3 if self.shaping_ else 2
        return Model(
            Standardise(size), build(self.network, inputs=size, outputs=outputs, **options)
        )

    def _tensors(self) -> dict[str, Tensor]:
        own = {"reference": self.reference_, "reference_weight": self.reference_weight_}
        return {**{f"model.{k}": v for k, v in self.model_.state_dict().items()}, **own}

    def _state(self) -> dict[str, Any]:
        return {
            "columns": self.columns_,
            "seed": self.seed_,
            "yields": self.yields_,
            "yield_slopes": self.yield_slopes_,
            "shaping": self.shaping_,
            "history": [asdict(epoch) for epoch in self.history_],
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.columns_, self.seed_ = state["columns"], state["seed"]
        self.yields_, self.yield_slopes_ = state["yields"], state["yield_slopes"]
        self.shaping_ = state["shaping"]
        self.history_ = [Epoch(**row) for row in state["history"]]
        self.reference_ = tensors["reference"]
        self.reference_weight_ = tensors["reference_weight"]
        self.model_ = self._build()
        weights = {
            k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")
        }
        self.model_.load_state_dict(weights)
        self.model_.eval()


def _balanced(label: Tensor, weight: Tensor) -> Tensor:
    """Return weights whose sum is one for signal and one for background."""
    totals = torch.stack([weight[label == kind].sum() for kind in (0, 1)])
    return weight / totals[label]


def _each(
    nuisance: Nuisance, x: Tensor, weight: Tensor, label: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply a transformation with a value (N,) of its own to each event."""

    def one(x: Tensor, weight: Tensor, label: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        moved, scaled = nuisance.apply(x[None], weight[None], label[None], value)
        return moved[0], scaled[0]

    moved, scaled = torch.func.vmap(one)(x, weight, label, value)
    return moved, scaled
