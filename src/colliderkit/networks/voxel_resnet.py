"""Three-dimensional ResNet on the voxels of a regular calorimeter."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["VoxelResNet"]

Steps = tuple[int, int, int]


class VoxelResNet(nn.Module):
    """Map a table of one number and the voxels, (B, 1 + V), to (B, outputs) by a 3-D ResNet-18.

    As in the CaloChallenge's third classifier (2410.21611) after 1512.03385: a stem, four stages
    of two blocks of two 3x3x3 convolutions with 1, 2, 4 and 8 times `width` channels, the last
    three halving what is longer than 4, and the mean over all voxels. Along the angle the
    convolutions go round. The number is a channel of its own. `shape` is (layers, angles, rings).
    """

    def __init__(self, shape: tuple[int, int, int], outputs: int = 2, *, width: int = 16) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Sequential(
            _CircularConv(2, width), nn.BatchNorm3d(width), nn.ReLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        size = list(shape)
        for stage, (before, after) in enumerate(
            pairwise([width, *(width * 2**i for i in range(4))])
        ):
            halved = [2 if stage > 0 and length > 4 else 1 for length in size]
            steps = halved[0], halved[1], halved[2]
            size = [-(-length // step) for length, step in zip(size, steps, strict=True)]
            blocks += [_Block(before, after, steps), _Block(after, after, (1, 1, 1))]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(8 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        voxels = x[:, 1:].view(-1, 1, *self.shape)
        number = x[:, :1, None, None, None].expand_as(voxels)
        features = self.blocks(self.stem(torch.cat([voxels, number], 1)))
        outputs: Tensor = self.last(features.mean((2, 3, 4)))
        return outputs


class _CircularConv(nn.Module):
    """Convolve by 3x3x3: zeros beyond the ends of layers and rings, round along the angle."""

    def __init__(self, inputs: int, outputs: int, steps: Steps = (1, 1, 1)) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(inputs, outputs, 3, steps, padding=(1, 0, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        round_about = F.pad(x, (0, 0, 1, 1, 0, 0), mode="circular")
        outputs: Tensor = self.convolution(round_about)
        return outputs


class _Block(nn.Module):
    """Add two convolutions to what goes in, or to its 1x1x1 convolution where sizes differ."""

    def __init__(self, inputs: int, outputs: int, steps: Steps) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _CircularConv(inputs, outputs, steps),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
            _CircularConv(outputs, outputs),
            nn.BatchNorm3d(outputs),
        )
        same = inputs == outputs and max(steps) == 1
        self.outer: nn.Module = nn.Identity()
        if not same:
            self.outer = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, steps, bias=False), nn.BatchNorm3d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.inner(x) + self.outer(x))
