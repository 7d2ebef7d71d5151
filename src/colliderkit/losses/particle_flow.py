"""Loss of machine-learned particle flow: is there a particle, of which kind, with what momentum."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["OUTPUTS", "TRUTH", "element_loss"]

OUTPUTS = 9  # of an element: whether there is one, five kinds, ln pT ratio, eta, phi
# Columns behind: whether there is one, kind, ln ratio, eta, phi, pT of the element, whether real.
TRUTH = 7
MOMENTUM = 3.0  # what the term of momenta is multiplied by
DIRECTION = 0.3  # and that of directions, which are in units of their usual spread
LINEAR = 0.3  # of pT ratios, beyond which a difference counts linearly
MOST = 5.0  # |ln ratio|


def element_loss(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the loss of the particle of each element, after MLPF's (2101.08578, 2309.06782), ().

    `outputs` (B, N, 9 + 7): the logit that the element has a particle, logits of its kind, ln of
    its pT over the element's, its eta and phi less the element's; then what is true of each, the
    pT of the element [GeV], and 1 where the element is real. `weight` (B,) of events.

        w BCE(is there one) + [where there is one] (CE(kind) + w h(ratio) + w ...)

    w is the root of the element's pT over its mean in the batch: a ratio that is wrong is worth
    more where there is more to be wrong about; h of Huber, on ratios themselves, whose means make
    sums right. Kind and momentum count only where there is a particle, so that an event without any
    has a loss that is finite.
    """
    said, known = outputs[..., :OUTPUTS], outputs[..., OUTPUTS:].detach()
    there, kind, real = known[..., 0], known[..., 1].long(), known[..., 6]
    count = real.sum().clamp(min=1)
    root = known[..., 5].clamp(min=0).sqrt() * real
    root = root / (root.sum() / count).clamp(min=1e-6)
    presence = F.binary_cross_entropy_with_logits(said[..., 0], there, reduction="none")
    kinds = F.cross_entropy(said[..., 1:6].movedim(2, 1), kind, reduction="none")
    ours, true = (each.clamp(-MOST, MOST).exp() for each in (said[..., 6], known[..., 2]))
    ratio = F.huber_loss(ours, true, reduction="none", delta=LINEAR) / LINEAR
    direction = F.smooth_l1_loss(said[..., 7:9], known[..., 3:5], reduction="none").sum(-1)
    momenta = root * (MOMENTUM * ratio + DIRECTION * direction)
    total = root * presence + there * (kinds + momenta)
    return (real * weight[:, None] * total).sum() / count
