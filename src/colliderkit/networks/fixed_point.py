"""Fixed-point numbers in a network, for quantisation-aware training and after it.

Programmable logic computes with integers times a power of two. A layer here rounds its weights and
what goes into it to such numbers while it is trained, so that training makes up for the rounding,
and computes with exactly these numbers afterwards.
"""

from typing import Any

import torch
from torch import Tensor, nn

from colliderkit.networks.dense import Dense, linear

__all__ = [
    "WIDE",
    "FixedPointDense",
    "Quantiser",
    "bit_operations",
    "fake_quantise",
    "quantised",
]

WIDE = 16  # bits of inputs, biases and outputs, whatever the weights and activations have
DECAY = 0.999  # a batch, of the largest value so far


def quantised(x: Tensor, step: Tensor | float, bits: int, *, signed: bool = True) -> Tensor:
    """Round x of any shape to the nearest of the 2^bits multiples of `step` that there are.

    These are step * (-2^(bits-1), ..., 2^(bits-1) - 1), or without a sign step * (0, ..., 2^bits -
    1): ``ap_fixed<bits, I, AP_RND_CONV, AP_SAT>`` (ap_ufixed) with step = 2^(I - bits). Halves go
    to the even neighbour, and what is beyond the ends becomes the end. Exact for a step that is a
    power of two and a type that holds `bits` bits.
    """
    low, high = _ends(bits, signed)
    return (x / step).round().clamp(low, high) * step


def fake_quantise(x: Tensor, step: Tensor | float, bits: int, *, signed: bool = True) -> Tensor:
    """Round as `quantised` does, with a gradient that goes straight through (1308.3432).

    d/dx is 1 between the ends and 0 beyond them.
    """
    rounded: Tensor = _StraightThrough.apply(x, step, bits, signed)
    return rounded


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor | float, bits: int, signed: bool) -> Tensor:
        low, high = _ends(bits, signed)
        ctx.save_for_backward((x >= low * step) & (x <= high * step))
        return quantised(x, step, bits, signed=signed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None, None


def _ends(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


class Quantiser(nn.Module):
    """Round what goes through, with a step that training sets.

    The step is the power of two with which the largest |x| of the training so far (forgotten by
    0.1% a batch) is within the ends. In training the gradient goes straight through; in evaluation
    the step stays, and the result is float64, in which products and sums of such numbers are exact
    in any order: what integers give.

    `peak` and `step` are buffers, saved with the weights.
    """

    peak: Tensor
    step: Tensor

    def __init__(self, bits: int, *, signed: bool = True) -> None:
        super().__init__()
        self.bits, self.signed = bits, signed
        self.register_buffer("peak", torch.zeros((), dtype=torch.float64))
        self.register_buffer("step", torch.ones((), dtype=torch.float64))

    @property
    def integer(self) -> int:
        """I of ``ap_fixed<bits, I>``: the bits before the point, with the sign."""
        return self.bits + int(self.step.log2().round())

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return quantised(x.double(), self.step, self.bits, signed=self.signed)
        self.observe(x.detach())
        return fake_quantise(x, self.step.to(x), self.bits, signed=self.signed)

    def observe(self, x: Tensor) -> None:
        """Take the range of x into account."""
        largest = x.abs().max().double() if x.numel() else self.peak
        self.peak.copy_(torch.maximum(largest, DECAY * self.peak))
        exponent = torch.frexp(self.peak).exponent + int(self.signed) - self.bits
        self.step.copy_(torch.ldexp(torch.ones_like(self.peak), exponent))


class FixedPointDense(Dense):
    """A linear layer with weights and inputs of few bits: y = Q(W) Q(x) + Q(b).

    `bits` are those of the weights and, if `input_bits` is not given, of the inputs, which have a
    sign only if `signed`; the bias has `WIDE`. Weights and biases begin as those of `dense`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bits: int,
        *,
        input_bits: int | None = None,
        signed: bool = True,
    ) -> None:
        super().__init__(inputs, outputs)
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)
        self.inputs = Quantiser(input_bits or bits, signed=signed)
        self.weights, self.biases = Quantiser(bits), Quantiser(WIDE)

    def forward(self, x: Tensor) -> Tensor:
        return linear(self.inputs(x), self.weights(self.weight), self.biases(self.bias))


def bit_operations(network: nn.Module) -> int:
    """Return the products of bits in the fixed-point layers of a network, for one event.

    The sum over layers of inputs x outputs x bits of a weight x bits of an input: what logic needs
    of adders, before any of it is shared. Layers in floats count none.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, FixedPointDense)]
    return sum(layer.weight.numel() * layer.weights.bits * layer.inputs.bits for layer in layers)
