"""A variational network: weights are densities, learned with the fit (2003.11099)."""

from typing import ClassVar

import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.regression import Gaussian
from colliderkit.methods.regression.regression import Perceptrons
from colliderkit.networks.variational import VariationalStack
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import fit_stack

__all__ = ["VariationalRegression"]

# Widths of weights shrink to their posterior far more slowly than means find their place.
SLOW = Training(epochs=120, batch_size=256, learning_rate=5e-3)


class VariationalRegression(Perceptrons):
    """Learn a normal density of each weight w of a perceptron with outputs mu(x) and s^2(x).

    Minimised is, by the mean over N events and draws of w,

        < -ln N(y; mu_w(x), s_w^2(x)) > + KL(q(w) || prior) / N,

    a bound of the evidence (1505.05424; for energies of jets 2003.11099). A prediction averages
    `draws` of w: the mean of s^2 is the aleatoric, the variance of mu the epistemic part. Weights
    are independent in q (the mean field), which makes the epistemic part too small as a rule
    (1906.11537).

    Args:
        draws: of the weights, for a prediction; they are the same at each call.
        hidden: widths of the perceptron.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like. Cut short, the widths of the
            weights are still too large, and intervals too wide.
    """

    name: ClassVar[str] = "variational-regression"
    network_: VariationalStack

    def __init__(
        self,
        *,
        draws: int = 50,
        hidden: tuple[int, ...] = (32, 32),
        validation: float = 0.2,
        training: Training = SLOW,
    ) -> None:
        self.draws = draws
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _loss(self) -> Gaussian:
        return Gaussian()

    def _rebuild(self) -> None:
        if self.draws < 2:
            raise InputError(f"draws is {self.draws}; at least 2 are needed for a variance.")
        super()._rebuild()
        self.network_ = VariationalStack(1, len(self.names_), tuple(self.hidden), outputs=2)

    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        stack, count = self.network_, len(train)
        histories = fit_stack(
            stack,
            self._loss().each,
            train,
            held,
            self.training,
            seeds=[derive(seed, "member", 0)],
            penalty=lambda: stack.divergence() / count,
        )
        return self._judged(histories, held)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.network_.random.manual_seed(0)
        drawn = torch.cat([self.network_(x).double() for _ in range(self.draws)])
        mean, log_variance = drawn.unbind(-1)
        return mean.mean(0), log_variance.exp().mean(0), mean.var(0)
