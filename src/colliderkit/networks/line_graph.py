"""Message passing between doublets of hits that share one: edge scores, and where hits embed.

The nodes are doublets, a step from an inner to an outer hit, and the edges triplets, two doublets
that meet in a hit: whether two steps are of one helix shows in a triplet, and in no doublet.
"""

import torch
from torch import Tensor, nn

__all__ = ["HitEmbedding", "LineGraph"]


def perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Return a perceptron of one hidden layer."""
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, outputs))


class LineGraph(nn.Module):
    """Score doublets by their triplets and their competitors, as an interaction network.

    In each of `rounds` (1612.00222, 2103.06995), with states h_d of doublets and t of triplets,

        m_t = phi(A h_in + B h_out + C t),
        h_d <- h_d + psi(h_d, sum of m over the triplets that d begins, over those that it ends,
                         sum of h over doublets from the same hit, over those to the same hit).

    Takes doublets (E, `doublets`), triplets (T, `triplets`) float32, `ends` (2, T) int64, the
    doublets of each triplet, and `hits` (2, E) int64, the hits of each doublet, of `count` hits.
    Returns logits (E,) and states (E, `width`).
    """

    def __init__(self, doublets: int, triplets: int, *, width: int = 32, rounds: int = 3) -> None:
        super().__init__()
        self.first = perceptron(doublets, width, width)
        self.triplet = perceptron(triplets, width, width)
        self.inward = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.outward = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.message = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.change = nn.ModuleList(perceptron(5 * width, width, width) for _ in range(rounds))
        self.score = perceptron(width, width, 1)

    def forward(
        self, doublets: Tensor, triplets: Tensor, ends: Tensor, hits: Tensor, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return logits (E,) and states (E, width) of the doublets."""
        state, triplet = self.first(doublets), self.triplet(triplets)
        before, after = ends
        inner, outer = hits
        for inward, outward, message, change in zip(
            self.inward, self.outward, self.message, self.change, strict=True
        ):
            passed = triplet + inward(state)[before] + outward(state)[after]
            passed = message(nn.functional.silu(passed))
            begun = summed(passed, before, len(state))
            ended = summed(passed, after, len(state))
            from_hit = summed(state, inner, count)[inner]
            to_hit = summed(state, outer, count)[outer]
            state = state + change(torch.cat([state, begun, ended, from_hit, to_hit], dim=1))
        return self.score(state)[:, 0], state


class HitEmbedding(nn.Module):
    """Embed hits so that those of a track lie together: where a doublet's helix goes, averaged.

    What a doublet says of its helix, `parameters` (E, P), is averaged over the doublets of a hit
    by their scores, and over neighbouring hits in each of `rounds`: hits of one chain agree.
    Coordinates are a linear map of that and a correction by what the doublets' states say; beta, in
    (0, 1), how much a hit stands for its track.
    """

    def __init__(
        self, parameters: int, *, width: int = 32, dimensions: int = 4, rounds: int = 4
    ) -> None:
        super().__init__()
        self.rounds = rounds
        self.place = nn.Linear(parameters, dimensions)
        self.correct = perceptron(width + parameters, width, dimensions)
        self.beta = perceptron(width + parameters + 1, width, 1)
        # The linear map begins with the parameters themselves, apart enough for a radius of 1.
        with torch.no_grad():
            self.place.weight.copy_(4 * torch.eye(dimensions, parameters))
            for layer in (self.correct[-1], self.beta[-1]):
                assert isinstance(layer, nn.Linear)
                layer.weight.mul_(0.1)

    def forward(
        self, logits: Tensor, state: Tensor, parameters: Tensor, hits: Tensor, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return coordinates (H, D) and beta (H,)."""
        inner, outer = hits
        share = torch.sigmoid(logits)[:, None]
        total = summed(share, inner, count) + summed(share, outer, count)
        sure = total.clamp(min=1e-3)
        both = torch.cat([state, parameters], dim=1) * share
        mean = (summed(both, inner, count) + summed(both, outer, count)) / sure
        for _ in range(self.rounds):
            flow = summed(share * mean[outer], inner, count)
            flow = flow + summed(share * mean[inner], outer, count)
            mean = (mean + flow) / (1 + total)
        parts = mean[:, state.shape[1] :]
        x = self.place(parts) + self.correct(mean)
        beta = self.beta(torch.cat([mean, torch.log1p(total)], dim=1))[:, 0]
        return x, torch.sigmoid(beta)


def summed(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """Return the sums (count, C) of values (n, C) that go to the same row (n,)."""
    return values.new_zeros(count, values.shape[1]).index_add(0, rows, values)
