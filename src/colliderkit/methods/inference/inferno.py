"""Inference-aware training: a summary learned for the error of the measurement (1806.04743)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.losses.inference import InferenceLoss, soft_bins
from colliderkit.methods.inference.nuisances import Nuisance, NuisanceMethod
from colliderkit.methods.inference.templates import Templates, fill
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import predict
from colliderkit.training.settings import Training

__all__ = ["InferenceAware", "NuisanceJacobian"]

Floats = NDArray[np.float64]


class InferenceAware(NuisanceMethod):
    """Sort events into bins such that the error of the signal yield is smallest.

    A network of a table of observables gives `bins` outputs; their softmax at `temperature` is
    the membership of an event in each bin. Trained is the expected sigma(s) of the counts, all
    `nuisances` profiled (`losses.inference`), whose derivatives by the nuisance parameters are
    taken through the network by forward mode.

    The paper trains at a temperature of 0.1 and descends with a rate of 1e-6. Here the optimiser
    is Adam's (AdamW) and the temperature 1: on the toy it learns further (sigma(s) in benchmark
    B2 after 30 epochs: 17.1 at 0.1, 16.6 at 1), and the outputs grow until bins are sharp.

    Args:
        nuisances: what the parameters of the nuisances do.
        network: a name of `colliderkit.networks.NETWORKS`, of those on tables.
        options: keyword arguments of the network.
        bins: of the summary.
        temperature: of the softmax; the smaller, the sharper the bins.
        columns: names of the table's columns, by which the command line reads them.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`, beside what `NuisanceMethod` has: `moving_`, the places of the nuisance parameters
    that move events and do not only weight them.
    """

    name = "inference-aware"

    moving_: list[int]

    def __init__(
        self,
        nuisances: Sequence[Nuisance] = (),
        *,
        network: str = "mlp",
        options: Mapping[str, Any] | None = None,
        bins: int = 10,
        temperature: float = 1.0,
        columns: Sequence[str] = (),
        validation: float = 0.2,
        training: Training = Training(epochs=40, batch_size=2000, learning_rate=3e-3),
    ) -> None:
        self.nuisances = nuisances
        self.network = network
        self.options = options
        self.bins = bins
        self.temperature = temperature
        self.columns = columns
        self.validation = validation
        self.training = training

    def transform(self, X: NDArray[np.floating[Any]], *, soft: bool = False) -> NDArray[Any]:
        """Return the bin of each event, (N,) int64, or with `soft` its memberships (N, bins)."""
        x = self._table(X)
        outputs = predict(self.model_, Dataset(x, torch.zeros(len(x)), torch.ones(len(x))), 16384)
        if soft:
            return soft_bins(outputs.double(), self.temperature).numpy()
        return outputs.argmax(1).numpy()

    def templates(
        self,
        X: NDArray[np.floating[Any]],
        y: NDArray[np.integer[Any]],
        weight: Floats,
        nuisances: Sequence[Nuisance] | None = None,
    ) -> Templates:
        """Fill the histograms of the hard bins of events that the training has not seen."""
        edges = np.arange(self.bins + 1) - 0.5
        varied = self.nuisances if nuisances is None else nuisances
        return fill(self.transform, X, y, weight, edges, varied)

    def _prepare(self, x: Tensor, label: Tensor, weight: Tensor) -> None:
        if self.bins < 2 or not self.temperature > 0:
            raise InputError(
                f"{self.bins} bins at temperature {self.temperature}; give two bins or more and"
                " a positive temperature."
            )
        slopes = [nuisance.slopes(x, label)[0] for nuisance in self.nuisances]
        self.moving_ = [i for i, slope in enumerate(slopes) if bool((slope != 0).any())]

    def _build(self) -> Model:
        net = NETWORKS.build(
            self.network, inputs=self.columns_, outputs=self.bins, **self._options()
        )
        return Model(Standardise(self.columns_), net)

    def _dataset(self, x: Tensor, label: Tensor, weight: Tensor) -> Dataset:
        """Return whole batches of events.

        The loss of a small rest of events would be that of another, worse measured experiment. The
        label travels as a last column: it decides which events a nuisance moves.
        """
        size = self.training.batch(len(x))
        whole = slice(max(len(x) // size, 1) * size)
        data = Dataset(torch.cat([x, label[:, None]], 1), label.float(), weight.float())
        return data.at(torch.arange(len(x))[whole])

    def _module(self) -> nn.Module:
        return NuisanceJacobian(self.model_, self.nuisances, self.moving_, self.temperature)

    def _loss(self) -> InferenceLoss:
        return InferenceLoss(
            self.bins,
            self.yields_["signal"],
            self.yields_["background"],
            [nuisance.width for nuisance in self.nuisances],
            self.moving_,
        )


class NuisanceJacobian(nn.Module):
    """Soft bins of events, with their derivatives, and those of ln w, by nuisance parameters.

    Input is a table (B, C + 1) whose last column is the label; the output is what
    `losses.inference.InferenceLoss` takes. The derivative of the bins is that of the network
    along dx/dtheta, carried forward with the value.
    """

    def __init__(
        self,
        model: nn.Module,
        nuisances: Sequence[Nuisance],
        moving: Sequence[int],
        temperature: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.nuisances = nuisances
        self.moving = moving
        self.temperature = temperature

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        x, label = values[:, :-1], values[:, -1]
        if not self.nuisances:
            return self._bins(x)
        slopes = [nuisance.slopes(x, label) for nuisance in self.nuisances]
        logs = torch.stack([log for _, log in slopes], 1)
        if not self.moving:
            still = self._bins(x)
            return torch.cat([still, logs.to(still.dtype)], 1)
        directions = torch.stack([slopes[i][0] for i in self.moving])
        touched = [self.nuisances[i].touches(label) for i in self.moving]
        rows = torch.stack(touched).any(0)
        still = self._bins(x[~rows])
        bins, moved = self._pushed(x[rows], directions[:, rows])
        # (D, B', K) -> (B', D K), beside the bins of the same events.
        pushed = torch.cat([bins, *moved.unbind(0)], 1)
        whole = pushed.new_zeros(len(x), pushed.shape[1])
        whole[~rows, : still.shape[1]] = still
        whole[rows] = pushed
        return torch.cat([whole, logs.to(whole.dtype)], 1)

    def _bins(self, x: Tensor) -> Tensor:
        return soft_bins(self.model(x), self.temperature)

    def _pushed(self, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return soft bins (B, K) and their derivatives along each direction, (D, B, K)."""

        def along(direction: Tensor) -> tuple[Tensor, Tensor]:
            bins_and_slopes: Any = torch.func.jvp(self._bins, (x,), (direction,))
            return bins_and_slopes[0], bins_and_slopes[1]

        # None: the value is the same along each direction.
        out_dims: Any = (None, 0)
        bins, slopes = torch.func.vmap(along, out_dims=out_dims)(directions)
        return bins, slopes
