"""Evidential regression: one network gives a density of mean and variance (1910.02600)."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import t as students_t
from torch import Tensor

from colliderkit.events.tables import Floats
from colliderkit.losses.regression import Evidential
from colliderkit.methods.regression.regression import QUICK, Perceptrons, check_level
from colliderkit.training.settings import Training

__all__ = ["EvidentialRegression"]


class EvidentialRegression(Perceptrons):
    """Learn a Normal-Inverse-Gamma density (gamma, nu, alpha, beta) of mean and variance of y.

    With the loss `losses.regression.Evidential`,

        estimate gamma,  aleatoric variance beta / (alpha - 1),  epistemic beta / (nu (alpha - 1)),

    and intervals are those of Student's t with 2 alpha degrees of freedom. The likelihood does not
    tell nu from beta (2205.10060), so that the parts are not to be taken apart literally: their
    sum is what the data constrain.

    Args:
        regulariser: of evidence for what comes out wrong.
        hidden: widths of the perceptron.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.
    """

    name: ClassVar[str] = "evidential-regression"

    def __init__(
        self,
        *,
        regulariser: float = 0.01,
        hidden: tuple[int, ...] = (64, 64, 64),
        validation: float = 0.2,
        training: Training = QUICK,
    ) -> None:
        self.regulariser = regulariser
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def interval(self, x: ArrayLike, level: float = 0.68) -> tuple[Floats, Floats]:
        """Return the central interval of Student's t, (N,) each."""
        check_level(level)
        parts = [part.numpy() for part in self._in_pieces(x, self._parameters_at)]
        gamma, nu, alpha, beta = parts
        half_width = students_t.ppf((1 + level) / 2, 2 * alpha)
        half_width *= np.sqrt(beta * (1 + nu) / (nu * alpha)) * float(self.target_.std)
        centre = self._unscaled(torch.from_numpy(gamma))
        return centre - half_width, centre + half_width

    def _loss(self) -> Evidential:
        return Evidential(self.regulariser)

    def _parameters_at(self, x: Tensor) -> tuple[Tensor, ...]:
        return Evidential.parameters(self.network_(x)[0].double())

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gamma, nu, alpha, beta = self._parameters_at(x)
        aleatoric = beta / (alpha - 1)
        return gamma, aleatoric, aleatoric / nu
