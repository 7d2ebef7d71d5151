"""ONNX files of regressions agree with torch on raw features."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.regression import REGRESSIONS
from colliderkit.serve.regression import export_regression
from colliderkit.training.settings import Training


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_every_regression_exports_or_says_why_not(kind, tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(5, 3, size=(400, 2))
    y = 100 * x[:, 0] + 50 * random.normal(size=400)
    training = Training(epochs=2, batch_size=100)
    network = {"hidden": (8,), "training": training}
    method = REGRESSIONS.build(kind, **({} if kind == "boosted-regression" else network))
    method.fit(x, y, seed=1)
    path = tmp_path / "regression.onnx"
    if kind == "variational-regression":
        with pytest.raises(InputError, match="draws its weights anew"):
            export_regression(method, path, x)
        assert not path.exists()
        return
    assert export_regression(method, path, x) < 1e-5
    assert path.exists()
