"""Convolutional networks on jet images."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError

__all__ = ["CNN", "ResNeXt"]


class CNN(nn.Module):
    """Classify a jet image as in "Pulling out all the tops" (1803.00107).

    Convolutions 4x4 with 128, 64 | 64, 64 channels, 2x2 max pooling after each pair, dense
    layers 64, 256, 256, ReLU. ``forward(image (B, inputs, pixels, pixels)) -> (B, outputs)``.

    For 40x40 images the landscape (1902.09914) quotes 610k parameters without the padding of
    the convolutions; one pixel on each side gives 609,666, the only choice that fits.
    """

    representation: ClassVar[str] = "image"

    def __init__(self, inputs: int = 1, outputs: int = 2, *, pixels: int = 40) -> None:
        super().__init__()
        self.pixels = pixels
        side = ((pixels - 2) // 2 - 2) // 2
        if side < 1:
            raise InputError(f"option 'pixels' is {pixels}; the CNN needs at least 10.")
        self.convolutions = nn.Sequential(
            nn.Conv2d(inputs, 128, 4, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 64, 4, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 4, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 4, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * side * side, 64),
            nn.ReLU(inplace=True),
            nn.Linear(64, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, outputs),
        )

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2:] != (self.pixels, self.pixels):
            raise InputError(
                f"images of {image.shape[-2]}x{image.shape[-1]} do not fit the network; build both"
                f" with the same option 'pixels' (the network has {self.pixels})."
            )
        logits: Tensor = self.dense(self.convolutions(image))
        return logits


class ResNeXt(nn.Module):
    """Classify a jet image with ResNeXt-50 (1611.05431) at a quarter of its channels.

    As in the landscape of top taggers (1902.09914, 1902.08570): all channels but those of the
    first convolution are divided by four, for images of 64x64 pixels, and dropout 0.5 follows
    the average pooling. ``forward(image (B, inputs, H, W)) -> (B, outputs)``, of any size.

    The first block of each stage projects its shortcut, also where the channels agree: that
    gives 1,457,314 parameters, the published 1.46M.
    """

    representation: ClassVar[str] = "image"

    def __init__(self, inputs: int = 1, outputs: int = 2, *, dropout: float = 0.5) -> None:
        super().__init__()
        channels = 64
        stages: list[nn.Module] = []
        for stage, blocks in enumerate((3, 4, 6, 3)):
            width = 32 << stage
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(_Bottleneck(channels, width, stride, project=block == 0))
                channels = 2 * width
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            *stages,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels, outputs),
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


class _Bottleneck(nn.Module):
    """Add to x, or to its projection, a path 1x1, 3x3 in 32 groups, 1x1 of `width` channels."""

    def __init__(self, inputs: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        outputs = 2 * width
        self.path = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=32, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))
