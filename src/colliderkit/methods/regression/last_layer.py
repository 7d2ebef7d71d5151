"""A Bayesian last layer: linear regression on learned features, in closed form (1502.05700)."""

from typing import ClassVar

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from colliderkit.losses.regression import Gaussian
from colliderkit.methods.regression.regression import QUICK, Perceptrons
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["BayesianLastLayer", "LinearPosterior"]


class LinearPosterior(nn.Module):
    """Posterior of the weights v of y = v . phi + noise, normal with known variances.

    With the prior v ~ N(0, 1/a), features phi (N, D) and the precision b_i of each y_i,

        covariance C = (a + sum_i b_i phi_i phi_i^T)^-1,    mean m = C sum_i b_i y_i phi_i,

    and the variance of v . phi is phi^T C phi. The prior's precision a maximises the evidence
    p(y | a) (MacKay 1992). Buffers `mean` (D,), `covariance` (D, D) and `precision` (), float64.
    """

    mean: Tensor
    covariance: Tensor
    precision: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("covariance", torch.eye(features, dtype=torch.float64))
        self.register_buffer("precision", torch.ones((), dtype=torch.float64))

    def fit(self, phi: Tensor, y: Tensor, b: Tensor) -> "LinearPosterior":
        """Fit to features (N, D), targets (N,) and their precisions (N,); return self."""
        phi, y, b = phi.double(), y.double(), b.double()
        values, vectors = torch.linalg.eigh(phi.T @ (b[:, None] * phi))
        values = values.clamp(min=0)  # but for rounding
        along = vectors.T @ (phi.T @ (b * y))

        def minus_evidence(log_a: float) -> float:
            """-2 ln p(y | a), but for what does not depend on a."""
            total = values + torch.tensor(log_a, dtype=torch.float64).exp()
            return float(total.log().sum() - len(values) * log_a - (along.square() / total).sum())

        best = minimize_scalar(minus_evidence, bounds=(-12, 12), method="bounded")
        self.precision.fill_(best.x).exp_()
        total = values + self.precision
        self.covariance.copy_(vectors / total @ vectors.T)
        self.mean.copy_(vectors @ (along / total))
        return self

    def forward(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of v . phi at features (N, D), (N,) each."""
        phi = phi.double()
        return phi @ self.mean, (phi @ self.covariance * phi).sum(1)


class BayesianLastLayer(Perceptrons):
    """Train a perceptron with outputs mu(x) and s^2(x), then do its last layer of mu anew.

    The activations before the last layer, and a constant, are the features of a Bayesian linear
    regression with the noise s^2(x) of the network (aleatoric); what its weights are uncertain by
    is the epistemic part, in closed form (1502.05700). It grows with the features away from the
    training events, and does not know that the features are learned too.

    Args:
        hidden: widths of the perceptron; the last is the number of features.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `posterior_`, of the last layer.
    """

    name: ClassVar[str] = "bayesian-last-layer"
    posterior_: LinearPosterior

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (64, 64, 64),
        validation: float = 0.2,
        training: Training = QUICK,
    ) -> None:
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _loss(self) -> Gaussian:
        return Gaussian()

    def _rebuild(self) -> None:
        super()._rebuild()
        self.posterior_ = LinearPosterior(self.hidden[-1] + 1)

    @torch.no_grad()
    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        with torch.enable_grad():
            history = super()._learn(train, held, seed)
        assert isinstance(train.inputs, Tensor)
        phi, variance = self._features(train.inputs)
        self.posterior_.fit(phi, train.target, train.weight / variance)
        return history

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (N, D) with a constant, and the variance of the noise (N,)."""
        phi = self.network_.features(x)[0].double()
        variance = self.network_(x)[0, :, 1].double().exp()
        return torch.cat([phi, torch.ones_like(phi[:, :1])], 1), variance

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        phi, aleatoric = self._features(x)
        mean, epistemic = self.posterior_(phi)
        return mean, aleatoric, epistemic
