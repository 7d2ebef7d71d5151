"""Message passing on particles within a radius: a logit for each particle of an event.

As PUPPI's alpha, a message is the logarithm of a sum over neighbours, here of learned terms:

    m_i = ln(1 + sum_{j in ring b} softplus(V h_j)),    h_i' = MLP(h_i, m_i),

for rings b of distance about particle i (a filter that is constant in each ring; compare
1810.07988 and SchNet's continuous filters, 1706.08566). Sums are linear in the density of the
pileup, so that its logarithm goes on as a straight line to densities of which none was trained on.
"""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.pileup import UNKNOWN, Particles, pairs

__all__ = ["COLUMNS", "DELAY", "RadiusGraph", "seen"]

COLUMNS = ("pt", "eta", "phi", "vertex", "truth", "vertices")  # of the values, in this order
DELAY = "delay"  # and behind them, where there are times: from that of the hard collision [ps]
INPUTS, OF_TIME = 4, 2  # of a particle
TICK = 30.0  # ps, about what is resolved
MOST = 50.0  # GeV, from which on a particle counts no more
GOLDEN = 0.6180339887498949  # whose multiples fill [0, 1) evenly
Edges = list[Tensor]  # a sparse matrix (P, P) for each ring


class RadiusGraph(nn.Module):
    """Give each particle of padded events a logit: is it of the hard collision?

    Called with values (B, L, 6) of `COLUMNS`, or (B, L, 7) with the delay, and a mask (B, L);
    returns (B, L, 3): the logit, the truth, and the weight of the particle in the loss, 0 where it
    is not asked. What is asked of are the particles of no known vertex; with `hidden_share`, in
    place of these, that share of the charged ones of either kind, drawn anew in each step, whose
    vertices are hidden from the network (2203.15823), so that no truth of neutrals is needed.

    The logit has the offset -ln(n / `usual`) for n vertices: by Bayes' theorem the odds of the hard
    collision fall as 1 / n where the densities of a particle's surroundings are the same.

    Args:
        rings: edges of the rings in distance, from 0.
        channels: messages of each ring.
        width: of the hidden layers.
        rounds: of messages.
        usual: number of vertices of which the offset is 0.
        hidden_share: of the charged particles that are hidden in training; None asks of neutrals.
        timed: whether delays are given, NaN of what has none.
    """

    def __init__(
        self,
        *,
        rings: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.4),
        channels: int = 8,
        width: int = 48,
        rounds: int = 2,
        usual: float = 1.0,
        hidden_share: float | None = None,
        timed: bool = False,
    ) -> None:
        super().__init__()
        self.rings = tuple(rings)
        self.usual = usual
        self.hidden_share = hidden_share
        self.timed = timed
        start = inputs = INPUTS + (OF_TIME if timed else 0)
        bands = len(self.rings) - 1
        self.messages = nn.ModuleList()
        self.updates = nn.ModuleList()
        for _ in range(rounds):
            self.messages.append(nn.Linear(inputs, channels))
            self.updates.append(
                nn.Sequential(
                    *(nn.Linear(start + bands * channels, width), nn.ReLU()),
                    *(nn.Linear(width, width), nn.ReLU()),
                )
            )
            inputs = width
        self.answer = nn.Linear(inputs, 1)
        # Of the hard collision are few: it begins with their prior, not with one half.
        nn.init.constant_(self.answer.bias, -3.0)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        rows, counts = values[mask], mask.sum(1)
        vertex, truth = rows[:, 3], rows[:, 4]
        asked = vertex < 0
        shown = vertex
        if self.hidden_share is not None:
            asked, truth = self._hidden(rows, counts), (vertex == 0).to(rows.dtype)
            shown = torch.where(asked, torch.full_like(vertex, UNKNOWN), vertex)
        delay = rows[:, len(COLUMNS)] if self.timed else None
        logit = self._logits(seen(rows[:, 0], shown, delay), self.edges(rows, counts))
        logit = logit - torch.log(rows[:, 5].clamp_min(1.0) / self.usual)
        # A weight is one of momentum: hard particles count for more.
        weight = asked * rows[:, 0].clamp(max=MOST)
        whole = rows.new_zeros(*mask.shape, 3)
        whole[mask] = torch.stack([logit, truth, weight], 1)
        return whole

    def _hidden(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Choose the known particles that are hidden: a share of all, and the outer ones.

        In every other event those beyond some |eta| are hidden altogether, as if the tracker ended
        there: so that what stands beyond it is learned as well. Out of training the choice is a
        fixed one, for the loss of an epoch not to fluctuate.
        """
        known = rows[:, 3] >= 0
        if self.training:
            chance = torch.rand(len(rows), device=rows.device)
            edge = torch.rand(len(counts), 2, device=rows.device)
        else:
            place = torch.arange(len(rows), device=rows.device, dtype=torch.float64)
            chance = torch.remainder(place * GOLDEN, 1.0).to(rows.dtype)
            event = torch.arange(len(counts), device=rows.device, dtype=torch.float64)[:, None]
            edge = torch.remainder((event + 1) * GOLDEN * torch.tensor([1.0, 2.0]), 1.0)
        least = torch.where(edge[:, 0] < 0.5, torch.inf, 0.5 + 2.0 * edge[:, 1]).to(rows.dtype)
        outer = rows[:, 1].abs() > torch.repeat_interleave(least, counts)
        return known & ((chance < (self.hidden_share or 0.0)) | outer)

    def _logits(self, start: Tensor, edges: Edges) -> Tensor:
        state = start
        for message, update in zip(self.messages, self.updates, strict=True):
            sent = nn.functional.softplus(message(state))
            heard = [torch.log1p(_Heard.apply(ring, sent)) for ring in edges]
            state = update(torch.cat([start, *heard], 1))
        logit: Tensor = self.answer(state)[:, 0]
        return logit

    def edges(self, rows: Tensor, counts: Tensor) -> Edges:
        """Return a sparse matrix of ones (P, P) for each ring: who hears whom."""
        flat = rows.detach().double().cpu().numpy()
        particles = Particles(
            flat[:, 0],
            flat[:, 1],
            flat[:, 2],
            np.zeros(len(flat)),
            flat[:, 3].astype(np.int64),
            None,
            counts.cpu().numpy(),
            np.zeros(len(counts)),
        )
        every = np.ones(len(flat), dtype=np.bool_)
        offsets, index, distance2 = pairs(particles, self.rings[-1], every, every)
        owner = np.repeat(np.arange(len(flat)), np.diff(offsets))
        found = []
        for low, high in itertools.pairwise(self.rings):
            inside = (distance2 >= low**2) & (distance2 < high**2)
            heard = np.bincount(owner[inside], minlength=len(flat))
            first = np.concatenate([[0], np.cumsum(heard)]).astype(np.int32)
            ones = torch.ones(int(inside.sum()), dtype=rows.dtype)
            with warnings.catch_warnings():
                # That such tensors are a beta version of torch's is nothing a user could mend.
                warnings.filterwarnings("ignore", message="(?i).*sparse", category=UserWarning)
                matrix = torch.sparse_csr_tensor(
                    torch.from_numpy(first),
                    torch.from_numpy(index[inside]),
                    ones,
                    (len(flat), len(flat)),
                )
            found.append(matrix.to(rows.device))
        return found


def seen(pt: Tensor, shown: Tensor, delay: Tensor | None = None) -> Tensor:
    """Return what is seen of particles (...,) before any message, (..., 4), or 6 with delays.

    ln pt, whether the vertex is the leading one, another or unknown; asinh(delay / 30 ps), which is
    linear within the resolution and a logarithm beyond, and whether there is one.
    """
    columns = [torch.log(pt.clamp_min(1e-3)), shown == 0, shown > 0, shown < 0]
    if delay is not None:
        none = torch.isnan(delay)
        columns += [torch.asinh(torch.where(none, torch.zeros_like(delay), delay) / TICK), ~none]
    return torch.stack([column.to(pt.dtype) for column in columns], -1)


class _Heard(torch.autograd.Function):
    """Sum messages (P, C) over neighbours; who hears whom is symmetric, and so is the gradient."""

    @staticmethod
    def forward(ctx: Any, ring: Tensor, sent: Tensor) -> Tensor:
        ctx.ring = ring
        return ring @ sent

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.ring @ gradients[0].contiguous()
