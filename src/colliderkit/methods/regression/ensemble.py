"""Deep ensembles: several perceptrons that each give a mean and a variance (1612.01474)."""

from typing import ClassVar

from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.regression import Gaussian
from colliderkit.methods.regression.regression import QUICK, Perceptrons
from colliderkit.training.settings import Training

__all__ = ["DeepEnsemble"]


class DeepEnsemble(Perceptrons):
    """Average M perceptrons with outputs mu_m(x) and s_m^2(x), trained by the Gaussian likelihood.

    The mixture of the M densities has

        mean mu = <mu_m>,   variance = <s_m^2> (aleatoric) + <mu_m^2> - mu^2 (epistemic),

    and counts as normal (1612.01474). Members differ by their first weights and shuffles; each sees
    all training events. The epistemic part says how much they differ, which is a lower bound: what
    all of them get wrong alike is not in it.

    Args:
        members: how many.
        hidden: widths of each perceptron.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.
    """

    name: ClassVar[str] = "deep-ensemble"

    def __init__(
        self,
        *,
        members: int = 5,
        hidden: tuple[int, ...] = (64, 64, 64),
        validation: float = 0.2,
        training: Training = QUICK,
    ) -> None:
        self.members = members
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _loss(self) -> Gaussian:
        return Gaussian()

    def _members(self) -> int:
        if self.members < 1:
            raise InputError(f"members is {self.members}; it must be at least 1.")
        return self.members

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.network_(x).double().unbind(-1)
        return mean.mean(0), log_variance.exp().mean(0), mean.var(0, correction=0)
