"""ONNX file of a regression: from raw features to estimate and standard deviation."""

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.methods.regression import Conformal, Regression
from colliderkit.methods.regression.variational import VariationalRegression
from colliderkit.serve.deployed import Deployed
from colliderkit.serve.onnx import TOLERANCE, single, write_checked

__all__ = ["DeployedRegression", "export_regression"]


class DeployedRegression(Deployed):
    """Answer raw features (batch, F) with the estimate and its standard deviation, (batch,)."""

    def __init__(self, method: Regression) -> None:
        super().__init__()
        self.method = copy.deepcopy(method)
        # Modules of a method are no modules of this one unless they are named.
        for name, value in vars(self.method).items():
            if isinstance(value, torch.nn.Module):
                self.add_module(f"fitted_{name}", value)
        self.outputs = ["estimate", "std"]
        self.scales = [float(method.target_.std)] * 2
        self.network = type(method).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        method = self.method
        mean, aleatoric, epistemic = method._moments(method.scaling_(values))
        variance = aleatoric + epistemic if method.has_epistemic else aleatoric
        estimate = mean * method.target_.std + method.target_.mean
        return estimate.float(), (variance.sqrt() * method.target_.std).float()


def export_regression(
    method: Regression | Conformal,
    path: str | Path,
    x: NDArray[np.float64],
    *,
    force: bool = False,
) -> float:
    """Write a fitted regression as one ONNX file, checked on features x (N, F).

    The file takes ``table`` (batch, F) float32, raw, and gives ``estimate`` and ``std`` (batch,).
    Of conformal intervals score, levels and factors are in its metadata: a scaled one is
    ``estimate -+ factor * std``. Returns the largest difference to torch, in spreads of the target;
    raises `InputError`, and writes nothing, if it is above 1e-4, or for a method that draws random
    weights.
    """
    refuse_existing(path, force)
    inner = method.method_ if isinstance(method, Conformal) else method
    if isinstance(inner, VariationalRegression):
        raise InputError(
            f"{inner.name} draws its weights anew for each prediction, which ONNX cannot repeat;"
            " export a deep-ensemble."
        )
    metadata = {"method": method.name, "seed": method.seed_}
    if isinstance(method, Conformal):
        metadata |= {
            "score": method.score,
            "levels": list(method.levels),
            "factors": method.factors_,
        }
    deployed = DeployedRegression(inner)
    table = single(torch.from_numpy(x), inner.names_)
    assert isinstance(table, Tensor)
    with torch.no_grad():
        answers = [answer.double().numpy() for answer in deployed.answers(table, None, None)]
    prediction = inner.predict(table.numpy())
    pairs = zip(answers, (prediction.estimate, prediction.std), strict=True)
    away = max(float(np.abs(a - b).max()) for a, b in pairs) / deployed.scales[0]
    if not away <= TOLERANCE:
        raise InputError(f"{path}: not written, its answers are {away:.1e} off; please report it.")
    return max(away, write_checked(deployed, path, table, None, inner.names_, metadata, force))
