"""Bounds of control: what no controller can be better than, by what none of them knows."""

import torch

from colliderkit.events.tables import Floats
from colliderkit.seeds import derive
from colliderkit.sources.machines.beam_tuning import BeamTuning
from colliderkit.sources.machines.prescales import Prescales, filled

__all__ = ["clairvoyant", "reachable"]

EXCESS = 41  # totals from the budget to 5% above that the knapsack tries
STARTS, STEPS = 48, 400  # of the descent to the best settings


def reachable(machine: BeamTuning, trials: Floats, *, seed: int = 0) -> Floats:
    """Return the least error [m] that settings within the limits have in each trial, (B,).

    Found by gradient descent (Adam, from many starts) with the true beam and offsets known, so it
    is an upper limit of the least error: what is beyond reach of a target is not a controller's.
    """
    conditions = torch.as_tensor(trials).repeat_interleave(STARTS, 0)
    goal = machine.goal(conditions)
    random = torch.Generator().manual_seed(derive(seed, "starts") % 2**63)
    shape = len(conditions), len(machine.settings)
    # tanh keeps the settings within the limits.
    free = 0.7 * torch.randn(shape, generator=random, dtype=conditions.dtype)
    free.requires_grad_()
    optimiser = torch.optim.Adam([free], 0.1)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    least = torch.full((len(conditions),), torch.inf, dtype=conditions.dtype)
    for _ in range(STEPS):
        beam = machine.beam(conditions, machine.unscaled(torch.tanh(free)))
        error = (beam - goal).abs().mean(1)
        least = torch.minimum(least, error.detach())
        optimiser.zero_grad()
        (error + 1e-7).log().sum().backward()
        optimiser.step()
        falling.step()
    best: Floats = least.reshape(-1, STARTS).amin(1).numpy()
    return best


def clairvoyant(machine: Prescales, trials: Floats, *, seed: int = 0) -> Floats:
    """Return the most value that any controller could have had in each section, (T, B).

    It knows the rates of the section before it happens, and which of them is hot, without noise,
    and prescales jump: at each total T from the budget to 5% above the knapsack is filled by true
    value a Hz, and (1 - dead(T)) value(T) is largest at one of them. (Above the 5% a section is
    over.) As the value is concave in T the grid is below the maximum by its step alone, 0.1%.
    """
    best = []
    with torch.no_grad():
        # The noise of `Controller.session` with this seed.
        state = machine.begin(trials, derive(seed, "noise"))
        for _ in range(machine.horizon):
            raw, hotter = state.hidden["raw"], state.hidden["hotter"]
            value = machine.values(raw) / raw.clamp_min(1).sqrt()
            # A Hz of a hot path is worth less, by what it is hotter.
            found = []
            for total in torch.linspace(1.0, 1.05, EXCESS, dtype=raw.dtype) * machine.budget:
                budget = total.expand(len(raw))
                kept = filled(raw * hotter, value / hotter, budget)
                found.append(machine.worth(kept.sum(1), (value * kept / hotter).sum(1)))
            best.append(torch.stack(found).amax(0))
            state = machine.step(state, state.seen.settings)
    bound: Floats = torch.stack(best).numpy()
    return bound
