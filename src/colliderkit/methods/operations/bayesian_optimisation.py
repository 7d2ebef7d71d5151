"""Bayesian optimisation of the settings: a Gaussian process and the expected improvement."""

import warnings
from typing import Any, ClassVar

import numpy as np
import torch

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.methods.operations.search import Search, Searching
from colliderkit.seeds import derive

__all__ = ["BayesianOptimisation"]


class BayesianOptimisation(Search):
    """Measure where a Gaussian process expects the largest improvement of the log cost.

    Some random settings first; then after each reading a Gaussian process (Matern 5/2, one length
    a setting, fitted by its marginal likelihood) of all measured log costs, and the settings of
    the largest logarithm of the expected improvement (LogEI, arXiv:2310.20708). It needs no
    training, and about 0.2 CPU s a measurement. Needs BoTorch.

    Args:
        machine: "beam-tuning".
        options: of the machine, by name.
        random: settings that are drawn before the first fit.
        restarts: of the optimisation of the acquisition.
    """

    name: ClassVar[str] = "bayesian-optimisation"
    rehearsed: ClassVar[int] = 0  # its gain is not rehearsed: it takes minutes

    def __init__(
        self,
        *,
        machine: str = "beam-tuning",
        options: dict[str, Any] | None = None,
        random: int = 4,
        restarts: int = 3,
    ) -> None:
        super().__init__(machine=machine, options=options)
        self.random = random
        self.restarts = restarts

    def searching(self, settings: Floats, cost: float, random: np.random.Generator) -> Searching:
        """Yield random settings, then those of the largest expected improvement."""
        measured = [(settings, cost)]
        for _ in range(self.random):
            measured.append((yield random.uniform(-1, 1, len(settings))))
        while True:
            points, costs = (np.array(part) for part in zip(*measured, strict=True))
            measured.append((yield self._next(points, costs, int(random.integers(2**31)))))

    def _next(self, points: Floats, costs: Floats, seed: int) -> Floats:
        """Return the settings (S,) of the largest expected improvement."""
        try:
            from botorch.acquisition import LogExpectedImprovement
            from botorch.exceptions import BotorchWarning, ModelFittingError
            from botorch.fit import fit_gpytorch_mll
            from botorch.models import SingleTaskGP
            from botorch.models.transforms import Standardize
            from botorch.optim import optimize_acqf
            from gpytorch.mlls import ExactMarginalLogLikelihood
        except ImportError as error:
            raise InputError(
                "botorch is not installed; pip install 'colliderkit[control]'."
            ) from error
        x = torch.from_numpy((points + 1) / 2)
        y = torch.from_numpy(-costs[:, None])
        with (
            torch.random.fork_rng(devices=[]),
            torch.enable_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", BotorchWarning)
            warnings.filterwarnings("ignore", category=UserWarning)
            torch.manual_seed(derive(seed, "acquisition"))
            process = SingleTaskGP(x, y, outcome_transform=Standardize(1))
            likelihood = ExactMarginalLogLikelihood(process.likelihood, process)
            try:
                fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": 50}})
            except ModelFittingError:
                process.eval()  # goes on with the priors' own lengths
            wanted, _ = optimize_acqf(
                LogExpectedImprovement(process, y.max()),
                torch.stack([torch.zeros_like(x[0]), torch.ones_like(x[0])]),
                1,
                num_restarts=self.restarts,
                raw_samples=64,
                options={"maxiter": 50, "seed": seed},
            )
        found: Floats = 2 * wanted[0].detach().numpy() - 1
        return found
