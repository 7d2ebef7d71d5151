"""CaloGAN's generator and discriminator of calorimeter images, layer by layer (1712.10321).

Both networks see showers as rows (B, V), layer after layer, in an energy unit that is also that of
the condition c (B, 1), the incident energy: zero is no energy. In the paper the unit is GeV.
Inside, an image of N cells is in units of `largest` / N, for which the numbers of the layers are
of order one; the paper has none of that, and trains for longer.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from colliderkit.errors import InputError
from colliderkit.networks.dense import dense

__all__ = [
    "CaloDiscriminator",
    "CaloGenerator",
    "LayerAttention",
    "LocallyConnected",
    "MinibatchDiscrimination",
]

Shape = tuple[int, int]
LAYERS: tuple[Shape, ...] = ((3, 96), (12, 12), (12, 6))
LEAK = 0.3  # of LeakyReLU below zero


class LocallyConnected(nn.Module):
    """Convolve an image by a kernel of its own at each place, without padding.

        y[b, o, i, j] = bias[i, j, o] + sum_{k, l, c} w[i, j, k, l, c, o] x[b, c, i + k, s j + l]

    ``forward((B, inputs, *shape)) -> (B, outputs, H, W)``. The stride s is along the last axis.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        shape: Shape,
        kernel: Shape,
        *,
        stride: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.shape = (shape[0] - kernel[0] + 1, (shape[1] - kernel[1]) // stride + 1)
        places = self.shape[0] * self.shape[1]
        taps = inputs * kernel[0] * kernel[1]
        bound = math.sqrt(6 / taps)  # He-uniform (1502.01852)
        self.weight = nn.Parameter(torch.empty(places, taps, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(places, 1, outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        (height, width), s = self.shape, self.stride
        # Places first: a row of an image is then contiguous, and copied to its patches as one.
        x = x.permute(2, 3, 0, 1)
        patches = [
            x[i : i + height, j : j + s * (width - 1) + 1 : s]
            for i in range(self.kernel[0])
            for j in range(self.kernel[1])
        ]
        # At each place a matrix (B, K C), multiplied by its own (K C, O).
        places = torch.cat(patches, 3).flatten(0, 1)
        if self.bias is None:
            y = torch.bmm(places, self.weight)
        else:
            y = torch.baddbmm(self.bias, places, self.weight)
        return y.unflatten(0, self.shape).permute(2, 3, 0, 1)


class LayerAttention(nn.Module):
    """Mix an image with that of the layer before, at each place by weights of their own.

    The previous image is brought to the own shape: cells are repeated, or averaged. Of both
    images, a locally connected 3 x 3 layer and a softmax over its two channels make the weights.
    The previous image begins with a bias of -10: training starts from the own image alone.

    ``forward(image (B, 1, *shape), previous (B, 1, *before)) -> (B, 1, *shape)``.
    """

    def __init__(self, shape: Shape, before: Shape, *, bias: float = -10.0) -> None:
        super().__init__()
        for new, old in zip(shape, before, strict=True):
            if new % old and old % new:
                raise InputError(
                    f"images of {before[0]} x {before[1]} and {shape[0]} x {shape[1]} cells follow"
                    " one another; one must be a multiple of the other along each side."
                )
        self.more = [max(new // old, 1) for new, old in zip(shape, before, strict=True)]
        self.fewer = [max(old // new, 1) for new, old in zip(shape, before, strict=True)]
        self.weights = LocallyConnected(2, 2, (shape[0] + 2, shape[1] + 2), (3, 3))
        assert self.weights.bias is not None
        nn.init.constant_(self.weights.bias[..., 1], bias)

    def resized(self, previous: Tensor) -> Tensor:
        """Return the previous image (B, 1, *before) in the own shape."""
        for axis, times in zip((2, 3), self.more, strict=True):
            previous = previous.repeat_interleave(times, axis)
        return nn.functional.avg_pool2d(previous, self.fewer)

    def forward(self, image: Tensor, previous: Tensor) -> Tensor:
        both = torch.cat([image, self.resized(previous)], 1)
        weights = self.weights(pad(both, (1, 1, 1, 1))).softmax(1)
        return (weights * both).sum(1, keepdim=True)


class CaloGenerator(nn.Module):
    """Generate showers from noise z (B, Z), scaled by the energy: z E / `largest`.

    Each layer's image begins as a dense layer's (H + 2) x (W + 2) x `channels`, goes through a
    2 x 2 convolution of 16 channels, LeakyReLU, batch normalisation and two locally connected
    2 x 2 layers of 6 channels and 1; it is mixed with the image before (`LayerAttention`), and
    what is below zero is cut. ``forward(z (B, Z), c (B, 1)) -> (B, V)``.
    """

    def __init__(
        self,
        shapes: Sequence[Shape] = LAYERS,
        *,
        noise: int = 1024,
        channels: int = 36,
        largest: float = 100.0,
    ) -> None:
        super().__init__()
        self.largest = largest
        self.layers = nn.ModuleList(_Image(shape, noise, channels) for shape in shapes)
        self.attention = nn.ModuleList(
            LayerAttention(shape, before) for before, shape in pairwise(shapes)
        )

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        z = z * (c / self.largest)
        separate = [layer(z) for layer in self.layers]
        images = [separate[0]]
        for attention, image in zip(self.attention, separate[1:], strict=True):
            images.append(attention(image, images[-1]))
        rows = [image.flatten(1) for image in images]
        return torch.cat([row * (self.largest / row.shape[1]) for row in rows], 1).relu()


class _Image(nn.Module):
    """Map z (B, Z) to an image (B, 1, H, W), without its last nonlinearity."""

    def __init__(self, shape: Shape, noise: int, channels: int) -> None:
        super().__init__()
        self.shape = (channels, shape[0] + 2, shape[1] + 2)
        self.first = dense(noise, math.prod(self.shape))
        self.convolution = nn.Conv2d(channels, 16, 2)
        self.norm = nn.BatchNorm2d(16)
        self.middle = LocallyConnected(16, 6, self.shape[1:], (2, 2))
        self.last = LocallyConnected(6, 1, self.middle.shape, (2, 2), bias=False)

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z).reshape(-1, *self.shape)
        # One cell of padding after the end: the 2 x 2 convolution keeps the size.
        x = self.norm(leaky_relu(self.convolution(pad(x, (0, 1, 0, 1))), LEAK))
        y: Tensor = self.last(leaky_relu(self.middle(x), LEAK))
        return y


class MinibatchDiscrimination(nn.Module):
    """Minibatch discrimination: closeness of each row to the batch, (B, inputs) -> (B, features).

    With M = T x, a matrix (features, dimensions) a row (1606.03498),

        o_ib = sum_j exp(-sum_d |M_ibd - M_jbd|),

    the row itself included: a generator that makes one shower again and again is seen.
    """

    def __init__(self, inputs: int, features: int = 10, dimensions: int = 10) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, features, dimensions))
        bound = math.sqrt(6 / (inputs + features * dimensions))  # Glorot-uniform
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        m = x @ self.weight.flatten(1)
        m = m.reshape(len(x), *self.weight.shape[1:])
        # Feature by feature: all at once would hold B x B x features x dimensions numbers.
        closeness = [(-torch.cdist(each, each, p=1.0)).exp().sum(1) for each in m.unbind(1)]
        return torch.stack(closeness, 1)


class CaloDiscriminator(nn.Module):
    """Discriminate showers (B, V), given their incident energy (B, 1).

    Each layer's image goes through a convolution and three locally connected layers, and is
    flattened to f. The last, linear layer sees, of each image, f, its minibatch discrimination,
    the share of cells with energy and its minibatch discrimination; and the energies of the
    layers and their minibatch discrimination, E_tot, |E - E_tot| and
    10 [|E - E_tot| > `largest` / 20]. Minibatch discrimination is seen through a hyperbolic
    tangent, the energies over `largest` / 10 and E_tot over `largest`, as in the code of the
    paper: without, the score begins at some tens, where no loss has a slope.

    ``forward(x (B, V), c (B, 1)) -> (B, 2)``: a logit, and E_tot, the energy that is read off.
    """

    def __init__(
        self,
        shapes: Sequence[Shape] = LAYERS,
        *,
        channels: tuple[int, int, int, int] = (64, 16, 8, 8),
        largest: float = 100.0,
    ) -> None:
        super().__init__()
        self.shapes = tuple(shapes)
        self.largest = largest
        self.layers = nn.ModuleList(_Features(shape, channels) for shape in self.shapes)
        self.neighbours = MinibatchDiscrimination(len(self.shapes))
        features = sum(layer.outputs for layer in self.layers)  # type: ignore[misc]
        self.last = dense(int(features) + len(self.shapes) + 10 + 3, 1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        parts = x.split([math.prod(shape) for shape in self.shapes], 1)
        energies = torch.stack([part.sum(1) for part in parts], 1)
        total = energies.sum(1, keepdim=True)
        missing = (c - total).abs()
        features = [
            layer((part * (math.prod(shape) / self.largest)).reshape(-1, 1, *shape))
            for layer, part, shape in zip(self.layers, parts, self.shapes, strict=True)
        ]
        far = 10.0 * (missing > self.largest / 20).to(x.dtype)
        features += [energies * (10 / self.largest), self.neighbours(energies).tanh()]
        score = self.last(torch.cat([*features, total / self.largest, missing, far], 1))
        return torch.cat([score, total], 1)


class _Features(nn.Module):
    """Map an image (B, 1, H, W) to the features that the discriminator's last layer sees."""

    def __init__(self, shape: Shape, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, channels[0], 2)
        layers, norms = [], []
        before = shape
        for inputs, outputs, size in zip(channels[:-1], channels[1:], (3, 2, 2), strict=True):
            padded = (before[0] + size - 1, before[1] + size - 1)
            stride = 2 if before[1] > 1 else 1
            layer = LocallyConnected(inputs, outputs, padded, (size, size), stride=stride)
            layers.append(layer)
            norms.append(nn.BatchNorm2d(outputs))
            before = layer.shape
        self.layers, self.norms = nn.ModuleList(layers), nn.ModuleList(norms)
        flat = channels[-1] * math.prod(before)
        self.neighbours = MinibatchDiscrimination(flat)
        self.as_sparse = MinibatchDiscrimination(1)
        self.outputs = flat + 10 + 1 + 10

    def forward(self, image: Tensor) -> Tensor:
        x = leaky_relu(self.convolution(pad(image, (0, 1, 0, 1))), LEAK)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            # The size stays: two cells of padding for a 3 x 3 kernel, one for a 2 x 2.
            low, high = (1, 1) if cast("LocallyConnected", layer).kernel == (3, 3) else (0, 1)
            x = norm(leaky_relu(layer(pad(x, (low, high, low, high))), LEAK))
        flat = x.flatten(1)
        sparse = (image.flatten(1) > 0).to(image.dtype).mean(1, keepdim=True)
        close = self.neighbours(flat).tanh(), self.as_sparse(sparse).tanh()
        return torch.cat([flat, close[0], sparse, close[1]], 1)
