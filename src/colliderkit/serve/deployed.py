"""Modules that are exported to ONNX: preprocessing, fitted network and answer in one graph."""

from collections.abc import Mapping

from torch import Tensor, nn

from colliderkit.methods.ratio import Ratio
from colliderkit.networks.autoencoding import Autoencoding

__all__ = ["Deployed", "DeployedRatio", "DeployedScore", "DeployedTagger"]


class Deployed(nn.Module):
    """Answer raw columns, and theta (batch, parameters) where there is any, with named outputs.

    `constituents` (batch, length, columns) are zero-padded: a particle is real if its energy,
    the fourth column, is positive. A table (batch, columns) goes through as it is. `outputs` are
    the names of the answers, each (batch, ...), and `scales` their natural sizes.
    """

    outputs: list[str]
    scales: list[float]
    network: str

    def forward(self, inputs: Tensor, theta: Tensor | None = None) -> tuple[Tensor, ...]:
        if inputs.ndim == 2:
            # As a method scales its tables: a tree has other leaves for another last digit.
            return self.answers(inputs.double(), None, theta)
        return self.answers(inputs, inputs[..., 3] > 0, theta)

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return the outputs; `mask` (batch, length) is True for real particles."""
        raise NotImplementedError


class DeployedTagger(Deployed):
    """Give class probabilities, then each regressed quantity in its units.

    `regress` are mean and scale of each: ``{name: (mean, scale)}``.
    """

    def __init__(
        self, model: nn.Module, classes: int, regress: Mapping[str, tuple[float, float]]
    ) -> None:
        super().__init__()
        self.model = model
        self.classes = classes
        self.regress = [*regress.values()]
        self.outputs = ["probability", *regress]
        self.scales = [1.0, *(scale for _, scale in self.regress)]
        self.network = type(model.network).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        outputs = self.model(values, mask)
        probability = outputs[:, : self.classes].softmax(-1)
        quantities = (
            outputs[:, self.classes + i] * scale + mean
            for i, (mean, scale) in enumerate(self.regress)
        )
        return (probability, *quantities)


class DeployedRatio(Deployed):
    """Give ln p1/p0: the members combined, and calibrated where the ratio is."""

    knots: Tensor
    rises: Tensor

    def __init__(self, method: Ratio) -> None:
        super().__init__()
        self.estimator = method.model_
        self.median = method.combine == "median"
        self.outputs, self.scales = ["log_ratio"], [1.0]
        self.network = method.network or "perceptron"
        calibration = method.calibration_.double()
        # A column that is empty, without calibration, has no rises and adds nothing.
        self.register_buffer("knots", calibration[0])
        self.register_buffer("rises", calibration[1].diff())
        self.start = float(calibration[1, 0]) if calibration.shape[1] else 0.0

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        each = self.estimator.answer(values, mask, theta).double()
        if self.median:
            ordered, half = each.sort(0).values, (len(each) - 1) / 2
            ln_r = (ordered[int(half)] + ordered[int(half + 0.5)]) / 2
        else:
            ln_r = each.mean(0)
        return (self._calibrated(ln_r).float(),)

    def _calibrated(self, ln_r: Tensor) -> Tensor:
        """Add the shift, linear between the knots: a sum of what each piece has risen by."""
        if len(self.rises) == 0:
            return ln_r + self.start
        # Two knots may coincide, where the shift jumps.
        widths = self.knots.diff().clamp(min=1e-12)
        risen = ((ln_r[:, None] - self.knots[:-1]) / widths).clamp(0, 1)
        return ln_r + self.start + (risen * self.rises).sum(1)


class DeployedScore(Deployed):
    """Give how anomalous an event is, by an autoencoder; `scale` is the size of its scores."""

    def __init__(self, model: Autoencoding, *, radius: bool, scale: float) -> None:
        super().__init__()
        self.model, self.radius = model, radius
        self.outputs, self.scales = ["score"], [scale]
        self.network = type(model.coder).__name__

    def answers(
        self, values: Tensor, mask: Tensor | None, theta: Tensor | None
    ) -> tuple[Tensor, ...]:
        return (self.model.score(values, mask, radius=self.radius).float(),)
