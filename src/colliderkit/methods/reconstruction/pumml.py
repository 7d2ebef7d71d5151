"""PUMML: the neutral energy of the hard collision from images of charged and neutral particles."""

from typing import ClassVar

import torch
from torch import Tensor

from colliderkit.events.pileup import Grid
from colliderkit.methods.reconstruction.learned import Learned
from colliderkit.networks.pumml import PummlNetwork
from colliderkit.training.settings import Training

__all__ = ["Pumml"]

PBAR = 10.0  # GeV, of the loss


class Pumml(Learned):
    """Regress the leading-vertex part of the neutral image by convolutions (1707.08600).

    The loss is the published one, over coarse cells,

        mean [ln((p + pbar) / (t + pbar))]^2,    pbar = 10 GeV,

    of predicted p and true t. The share that is left of a cell is the weight of the particles in
    it. How the network differs from the published one stands at `PummlNetwork`.

    Args:
        cell: side of a coarse cell; those of charged particles are a quarter of it.
        reach: |eta| of the images; what lies beyond is left as it was.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like; a batch is of whole events.
    """

    name: ClassVar[str] = "pumml"

    network_: PummlNetwork

    def __init__(
        self,
        *,
        cell: float = 0.1,
        reach: float = 4.0,
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=4, learning_rate=2e-3),
    ) -> None:
        self.cell = cell
        self.reach = reach
        self.validation = validation
        self.training = training

    def _rebuild(self) -> None:
        grid = Grid(self.cell, self.reach)
        self.network_ = PummlNetwork(rows=grid.rows, columns=grid.columns, reach=self.reach)

    @staticmethod
    def _objective(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        predicted, truth = outputs.unbind(1)
        # Cells without neutrals are right by construction, and most are empty in simple events.
        square = (torch.log(predicted + PBAR) - torch.log(truth + PBAR)).square()
        return (weight * square.mean(1)).mean()

    def _shares(self, values: Tensor, mask: Tensor) -> Tensor:
        image = self.network_.images(values, mask)
        share = self.network_.shares(image).flatten()
        rows = values[mask]
        event = torch.repeat_interleave(torch.arange(len(mask)), mask.sum(1))
        cell = self.network_.cells(rows, event)
        # Beyond the images nothing is known of a particle, and it is left as it was.
        return torch.where(cell >= 0, share[cell.clamp_min(0)], torch.ones_like(rows[:, 0]))
