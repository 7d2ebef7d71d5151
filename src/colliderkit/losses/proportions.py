"""Losses of mixed samples: proportions by batch, and the likelihood of the sample of an event.

Outputs (B, 2) are logits of background and signal, h their signal probability; target (B,) is the
number of the event's mixed sample, of any number of samples; f_a is the share of signal in sample
a. With <h>_a, the weighted mean over the events of sample a in the batch,

    absolute   sum_a |f_a - <h>_a|
    WMSE       sum_a (f_a - <h>_a)^2
    WCE        sum_a -f_a ln <h>_a - (1 - f_a) ln(1 - <h>_a)
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from colliderkit.losses.classification import weighted_mean

__all__ = ["PROPORTION_LOSSES", "MixtureLikelihood", "Proportions"]

LEAST = 1e-6  # of a mean probability inside of a logarithm

# (fraction, mean) -> loss of a sample, of one shape.
PROPORTION_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "absolute": lambda f, mean: (f - mean).abs(),
    "WMSE": lambda f, mean: (f - mean).square(),
    "WCE": lambda f, mean: nn.functional.binary_cross_entropy(
        mean.clamp(LEAST, 1 - LEAST), f, reduction="none"
    ),
}


class Proportions(nn.Module):
    """Learn from label proportions: match the mean output of each mixed sample to its fraction.

    "absolute" is LoLiProp's batch mean (1702.00414), "WMSE" and "WCE" are those of 1801.10158. A
    sample that has no events in the batch, or none of positive weight, is left out of the sum.

    Args:
        fractions: of signal in each sample, (A,), in [0, 1].
        kind: a name of `PROPORTION_LOSSES`.
    """

    fractions: Tensor

    def __init__(self, fractions: Sequence[float], kind: str = "WMSE") -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("fractions", torch.tensor(fractions), persistent=False)

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of a batch: outputs (B, 2), target (B,) int64, weight (B,); ()."""
        signal = torch.sigmoid(outputs[:, 1] - outputs[:, 0]).float()
        zeros = signal.new_zeros(len(self.fractions))
        sums = zeros.index_add(0, target, weight)
        there = sums > 0
        mean = zeros.index_add(0, target, weight * signal)[there] / sums[there]
        each = PROPORTION_LOSSES[self.kind](self.fractions[there].to(mean), mean)
        # Of a batch without a sum the gradient is 0, and not absent.
        return each.sum() if len(each) else 0.0 * signal.sum()


class MixtureLikelihood(nn.Module):
    """Learn from which sample each event is, through the fractions: -ln P(sample | x).

    With the share n_a of sample a among all training events and h = p(signal | x) among them,

        P(a | x) = h n_a f_a / sum_b n_b f_b + (1 - h) n_a (1 - f_a) / sum_b n_b (1 - f_b)

    It is the likelihood of the only function that is not known: no mixed samples say more of it.
    Samples that are pure make it the cross-entropy of the classes. (The "forward correction" of
    label noise, 1609.03683.)

    Args:
        fractions: of signal in each sample, (A,), in [0, 1]; not all 0 or all 1.
        shares: of all training events by weight, (A,), positive.
    """

    given_class: Tensor

    def __init__(self, fractions: Sequence[float], shares: Sequence[float]) -> None:
        super().__init__()
        signal = torch.tensor(fractions, dtype=torch.float64)
        n = torch.tensor(shares, dtype=torch.float64)
        both = torch.stack([n * (1 - signal), n * signal])
        given = (both / both.sum(1, keepdim=True)).float()
        self.register_buffer("given_class", given, persistent=False)

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean over a batch, as `cross_entropy` does; ()."""
        # In logarithms: where a sample is pure one of the terms is ln 0.
        log_given = self.given_class.log().to(outputs.dtype).T[target]
        each = -torch.logsumexp(torch.log_softmax(outputs, 1) + log_given, 1)
        return weighted_mean(each, weight)
