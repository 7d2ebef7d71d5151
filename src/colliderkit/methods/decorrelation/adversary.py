"""Adversary that learns protected quantities from the score: a mutual-information penalty."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.losses.decorrelation import background_score
from colliderkit.networks.mixture_density import MixtureDensity, mixture_log_prob

__all__ = ["MutualInformation"]

UNIT, MOST = 3.0, 15.0  # of the log-odds that the adversary sees: their scale and their end


class MutualInformation(nn.Module):
    """Mutual information of the background's score and protected m, by an adversary (1703.03507).

        I = < ln q(m | s) - ln q(m) >

    with q(m | s) a mixture of normal densities that a network makes of the score, and q(m) one
    without: where both are learned, the mutual information of s and m in nats, which is 0 for
    independent ones alone; of an adversary that lags behind, a lower bound. Below 0, where it does
    worse than one that does not look, I counts as 0: the tagger has nothing to gain from leading
    it astray, and the two do not chase each other in circles. m has order 1.

    The value moves the tagger alone: its gradient stops at the adversary's parameters, which
    `own_loss` trains. The tagger descends what the adversary climbs, the minimax game of
    1611.01046, whichever way they take turns (`training.alternating`).
    """

    def __init__(
        self,
        quantities: int,
        *,
        components: int = 5,
        hidden: Sequence[int] = (64, 64),
        background: int = 0,
    ) -> None:
        super().__init__()
        self.background = background
        self.density = MixtureDensity(1, quantities, components=components, hidden=hidden)
        self.marginal = nn.Parameter(0.5 * torch.randn(1, components * (1 + 2 * quantities)))

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return I of logits (B, K), target (B, 1 + M) and weights (B,), ()."""
        s, m, p = self._background(outputs, target, weight)
        if len(p) == 0:
            return outputs.sum() * 0.0
        frozen = {name: value.detach() for name, value in self.density.named_parameters()}
        conditional: Tensor = torch.func.functional_call(self.density, frozen, (s, m))
        information = p * (conditional - mixture_log_prob(self.marginal.detach(), m))
        return information.sum().clamp(min=0)

    def own_loss(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return < -ln q(m | s) - ln q(m) >, whose gradient is the adversary's alone, ()."""
        s, m, p = self._background(outputs.detach(), target, weight)
        loss: Tensor = -(p * (self.density(s, m) + mixture_log_prob(self.marginal, m))).sum()
        return loss

    def _background(self, outputs: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        """Return log-odds (N, 1), m (N, M) and weights (N,) of the background, float32."""
        s, m, p = background_score(outputs, target, weight, self.background)
        log_odds = torch.logit(s, eps=1e-12).clamp(-MOST, MOST) / UNIT
        return log_odds[:, None].float(), m.float(), p.float()
