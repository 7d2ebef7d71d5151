"""Loss of several heads on one trunk: class, energy with its error, mass, and shares of cells."""

from collections.abc import Sequence

import torch
from torch import Tensor

from colliderkit.losses.classification import weighted_mean
from colliderkit.losses.energy_share import energy_share

__all__ = ["CellHeadsLoss", "gaussian"]

FIRST = 4  # columns before those of the event
SHARE = 30.0  # what the error of shares counts
LEAST, MOST = -5.0, 3.0  # of ln sigma, in spreads of the target


def gaussian(outputs: Tensor, target: Tensor) -> Tensor:
    """Return (t - mu)^2 / 2 sigma^2 + ln sigma of each, (B,), of outputs (B, 2) mu and ln sigma.

    0 where the target is NaN, not known.
    """
    known = ~target.isnan()
    ln_sigma = outputs[:, 1].clamp(LEAST, MOST)
    pull = (torch.where(known, target, 0.0) - outputs[:, 0]) * torch.exp(-ln_sigma)
    return torch.where(known, pull.square() / 2 + ln_sigma, 0.0)


class CellHeadsLoss:
    """Sum the losses of the heads that there are, each of about the same size.

    `outputs` (B, N, 4 + M): the logit of each cell's neutral share, its energy [GeV], its true
    share, 1 where it is real; and in each cell what the heads say of the event. `target` (B, 3):
    the class, ln(E / sum) and ln(mass), standardised, NaN where not known:

        cross entropy + gaussian(energy) + gaussian(mass) + 30 energy_share,

    where the mass counts in the mean over all events, times `pairs`, one over their share among
    them. A square error falls to some thousandths where the others stay of the order of 1: the
    larger its factor, the better the shares and the worse the energy (docs/raw-data.md).
    """

    def __init__(self, heads: Sequence[str], classes: int, *, pairs: float = 1.0) -> None:
        self.heads, self.classes, self.pairs = tuple(heads), classes, pairs

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        event, at = outputs[:, 0, FIRST:], 0
        total = outputs.new_zeros(())
        if "class" in self.heads:
            each = torch.nn.functional.cross_entropy(
                event[:, : self.classes], target[:, 0].long(), reduction="none"
            )
            total = total + weighted_mean(each, weight)
            at = self.classes
        for head, column, factor in (("energy", 1, 1.0), ("mass", 2, self.pairs)):
            if head in self.heads:
                each = gaussian(event[:, at : at + 2], target[:, column])
                total = total + factor * weighted_mean(each, weight)
                at += 2
        if "share" in self.heads:
            total = total + SHARE * energy_share(outputs[..., :FIRST], target, weight)
        return total
