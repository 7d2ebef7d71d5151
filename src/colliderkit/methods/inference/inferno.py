"""Inference-aware training: a summary learned for the error of the measurement (1806.04743)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

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
from colliderkit.training.fit import fit as train
from colliderkit.training.fit import predict
from colliderkit.training.settings import Epoch, Training

__all__ = ["InferenceAware"]

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

    `columns` are the names of the table's columns, by which the command line reads them.
    """

    name = "inference-aware"

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

        The weights of a process sum to its expected yield (None: each event counts one).
        Negative weights are refused: a bin could then expect less than nothing. A share
        `self.validation` of the events chooses the epoch. Checkpoints go to `folder`.
        """
        if folder is None:
            with TemporaryDirectory(prefix="colliderkit-") as temporary:
                options: dict[str, Any] = {"seed": seed, "resume": resume, "progress": progress}
                return self.fit(X, y, weight, folder=temporary, **options)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.bins < 2 or not self.temperature > 0:
            raise InputError(
                f"{self.bins} bins at temperature {self.temperature}; give two bins or more and"
                " a positive temperature."
            )
        x, label, weights = checked(X, y, weight)
        self.seed_ = seed
        self.columns_ = x.shape[1]
        self.yields_ = {
            "signal": float(weights[label == 1].sum()),
            "background": float(weights[label == 0].sum()),
        }
        torch.manual_seed(seed)
        self.model_ = self._build()
        scaling: Any = self.model_.representation
        scaling.fit(x)
        slopes = [nuisance.slopes(x, label)[0] for nuisance in self.nuisances]
        moving = [i for i, slope in enumerate(slopes) if bool((slope != 0).any())]
        loss = InferenceLoss(
            self.bins,
            self.yields_["signal"],
            self.yields_["background"],
            [nuisance.width for nuisance in self.nuisances],
            moving,
        )
        # The label travels as a last column: it decides which events a nuisance moves.
        data = Dataset(torch.cat([x, label[:, None].float()], 1), label.float(), weights.float())
        held, kept = self._parts(len(x), seed)
        self.history_: list[Epoch] = train(
            Pushed(self.model_, self.nuisances, moving, self.temperature),
            loss,
            data.at(kept),
            data.at(held),
            self.training,
            folder=folder,
            seed=seed,
            resume=resume,
            title=self.name,
            progress=progress,
        )
        return self

    def transform(self, X: NDArray[np.floating[Any]], *, soft: bool = False) -> NDArray[Any]:
        """Return the bin of each event, (N,) int64, or with `soft` its memberships (N, bins)."""
        if not hasattr(self, "model_"):
            raise InputError("the summary is not fitted; call fit or load a fitted one.")
        x = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
        if x.ndim != 2 or x.shape[1] != self.columns_:
            raise InputError(
                f"events of shape {tuple(x.shape)}; fitted was a table of {self.columns_} columns."
            )
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
        chosen = self.nuisances if nuisances is None else nuisances
        return fill(self.transform, X, y, weight, edges, chosen)

    def _build(self) -> Model:
        options = {"hidden": (100, 100)} if self.options is None else dict(self.options)
        net = NETWORKS.build(self.network, inputs=self.columns_, outputs=self.bins, **options)
        return Model(Standardise(self.columns_), net)

    def _parts(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the events held for validation and those trained on, in whole batches.

        The loss of a small rest of events would be that of another, worse measured experiment.
        """
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        cut = int(self.validation * count)
        size = self.training.batch_size
        held, kept = order[:cut], order[cut:]
        whole = [part[: max(len(part) // size, 1) * size] for part in (held, kept)]
        return whole[0], whole[1]

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.model_.state_dict())

    def _state(self) -> dict[str, Any]:
        return {
            "columns": self.columns_,
            "seed": self.seed_,
            "yields": self.yields_,
            "history": [asdict(epoch) for epoch in self.history_],
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.columns_ = state["columns"]
        self.seed_ = state["seed"]
        self.yields_ = state["yields"]
        self.history_ = [Epoch(**row) for row in state["history"]]
        self.model_ = self._build()
        self.model_.load_state_dict(tensors)
        self.model_.eval()


class Pushed(nn.Module):
    """Give soft bins, their derivatives by the nuisance parameters and those of ln w.

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
            return torch.cat([self._bins(x), logs], 1)
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
        return torch.cat([whole, logs], 1)

    def _bins(self, x: Tensor) -> Tensor:
        return soft_bins(self.model(x), self.temperature)

    def _pushed(self, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return soft bins (B, K) and their derivatives along each direction, (D, B, K)."""

        def along(direction: Tensor) -> tuple[Tensor, Tensor]:
            found: Any = torch.func.jvp(self._bins, (x,), (direction,))
            return found[0], found[1]

        # None: the value is the same along each direction.
        out_dims: Any = (None, 0)
        bins, slopes = torch.func.vmap(along, out_dims=out_dims)(directions)
        return bins, slopes


def checked(
    x: NDArray[np.floating[Any]], y: NDArray[np.integer[Any]], weight: Floats | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return events (N, C), labels (N,) and weights (N,) as tensors, or say what is wrong."""
    events = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    label = torch.from_numpy(np.asarray(y, dtype=np.int64))
    weights = (
        torch.ones(len(label), dtype=torch.float64)
        if weight is None
        else torch.from_numpy(np.asarray(weight, dtype=np.float64))
    )
    if events.ndim != 2 or not len(events) == len(label) == len(weights):
        raise InputError(
            f"events {tuple(events.shape)}, labels {tuple(label.shape)} and weights"
            f" {tuple(weights.shape)}; give a table (N, C) and one label and weight a row."
        )
    finite = torch.isfinite(events).all(1) & torch.isfinite(weights)
    if not bool(finite.all()):
        bad = int((~finite).nonzero()[0])
        raise InputError(f"event {bad} holds NaN or an infinite value; remove or repair it.")
    if bool(((label != 0) & (label != 1)).any()):
        raise InputError("labels must be 1 for signal and 0 for background.")
    if bool((weights < 0).any()):
        bad = int((weights < 0).nonzero()[0])
        raise InputError(
            f"event {bad} has a negative weight, which can make a bin expect less than nothing;"
            " reweight to positive weights first."
        )
    for kind, name in ((1, "signal"), (0, "background")):
        if not float(weights[label == kind].sum()) > 0:
            raise InputError(f"no {name} events, or weights that sum to zero; give some.")
    return events, label, weights
