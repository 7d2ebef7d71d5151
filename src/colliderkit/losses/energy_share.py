"""Energy-weighted loss of shares of cells: sum_h E_h (f_hat - f)^2 / sum_h E_h of each event."""

import torch
from torch import Tensor

from colliderkit.losses.classification import weighted_mean

__all__ = ["energy_share", "split_energy"]


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


def split_energy(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the loss of fine cells: how the energy of coarse ones is divided, and neutral shares.

    `outputs` (B, N, 6): the logit of the neutral share f_hat and the score of a fine cell, its true
    energy e [GeV] and share f, the number of its coarse cell in the event, and 1 where it is real.
    With s the softmax of the scores in each coarse cell and t the same of the true energies,

        [-sum e ln s + sum e ln t + sum e (f_hat - f)^2] / sum e

    of each event: 0 where both are right. A coarse cell without true energy counts nothing.
    """
    logit, score, energy, share, cell, real = outputs.unbind(2)
    energy = energy * real
    index = cell.long()
    size = int(index.max()) + 1 if index.numel() else 1
    place = index + size * torch.arange(len(index), device=index.device)[:, None]

    def total(values: Tensor) -> Tensor:
        sums = values.new_zeros(size * len(index)).index_add(0, place.flatten(), values.flatten())
        return sums[place]

    # Scores are clipped where they are used, too: no maximum has to be taken in each cell.
    odds = score.clamp(-10.0, 10.0)
    log_s = odds - total(odds.exp() * real).clamp(min=1e-30).log()
    log_t = energy.clamp(min=1e-30).log() - total(energy).clamp(min=1e-30).log()
    square = (torch.sigmoid(logit) - share).square()
    each = (energy * (log_t - log_s + square)).sum(1)
    return weighted_mean(each / energy.sum(1).clamp(min=1e-6), weight)
