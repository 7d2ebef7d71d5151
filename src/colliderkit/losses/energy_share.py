"""Energy-weighted loss of shares of cells: sum_h E_h (f_hat - f)^2 / sum_h E_h of each event."""

import torch
from torch import Tensor

from colliderkit.losses.classification import weighted_mean

__all__ = ["KNOWN", "energy_share"]

KNOWN = 3  # columns of a hit behind its logit: energy, true share, whether real


def energy_share(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over events of the energy-weighted square error of shares, ().

    `outputs` (B, N, 4): the logit of f_hat, the energy of the hit [GeV], the true share f, and 1
    where the hit is real; there is no other target. An event without energy counts nothing
    (2003.08863).
    """
    logit, energy, share, real = outputs.unbind(2)
    energy = energy * real
    each = (energy * (torch.sigmoid(logit) - share).square()).sum(1)
    return weighted_mean(each / energy.sum(1).clamp(min=1e-6), weight)
