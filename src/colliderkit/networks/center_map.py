"""Detect objects in an image of an event: convolutions around the beams, and maps of centres."""

import math

import torch
from torch import Tensor, nn

__all__ = ["CELL", "QUANTITIES", "CenterMap", "around"]

CELL = 2  # towers of a side of a cell of the maps
QUANTITIES = ("row", "column", "ln pt", "ln mass")  # of an object, behind the logits of its kinds
NOWHERE = -20.0  # logit where nothing is within the radius
DILATIONS = (1, 2, 4, 2, 1)


class CenterMap(nn.Module):
    """Turn images of events (B, 3, R, C) [GeV, transverse] to maps (B, kinds + 4, R / 2, C / 2).

    Rows go around the beams, columns along eta; channels are electromagnetic and hadronic energy
    and the pT of tracks. Of each cell the maps have, for an object whose centre is there
    (1904.07850), the logits of the kinds; how far the centre is from that of the cell, in cells
    along rows and columns; ln pT and ln mass of GeV. Convolutions wrap in rows, so that

        maps(image turned by 2 n towers) = maps(image) turned by n cells.

    The calorimeter's towers within `radius` of a cell have a sum S and second moments r in eta and
    phi; the last two maps correct ln S and ln sqrt(S sum(pT r^2) - |sum(pT r)|^2), which is the
    mass of massless towers at small angles. Where S is 0 no object is.

    Args:
        rows, columns: towers around the beams and along eta, even.
        eta: the largest |eta|.
        radius: of the objects, in eta and phi.
        kinds: of objects.
        width: channels of the maps inside.
    """

    moments: Tensor

    def __init__(
        self,
        *,
        rows: int = 64,
        columns: int = 50,
        eta: float = 2.5,
        radius: float = 1.0,
        kinds: int = 3,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.kinds = kinds
        step = torch.tensor([2 * math.pi / rows, 2 * eta / columns])
        half = [min(math.ceil(radius / float(s)), n // 2) for s, n in zip(step, (rows, columns),
                                                                          strict=True)]  # fmt: skip
        self.reach = half
        y, x = (
            (torch.arange(2 * h + CELL) - (2 * h + CELL - 1) / 2) * s
            for h, s in zip(half, step, strict=True)
        )
        y, x = torch.meshgrid(y, x, indexing="ij")
        inside = (x.square() + y.square() < radius**2).float()
        kernels = torch.stack([inside, y * inside, x * inside, (x * x + y * y) * inside])
        self.register_buffer("moments", kernels[:, None], persistent=False)
        self.begin = nn.Conv2d(3, width, 2 + CELL, stride=CELL, padding=(0, 1), bias=False)
        self.begun = nn.BatchNorm2d(width)
        self.join = nn.Conv2d(width + 4, width, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=(0, d), dilation=d, bias=False) for d in DILATIONS
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in DILATIONS)
        self.heads = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.ReLU(),
            nn.Conv2d(2 * width, kinds + len(QUANTITIES), 1),
        )  # fmt: skip
        with torch.no_grad():
            last = self.heads[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            last.weight.mul_(0.1)
            last.bias.zero_()
            # Cells with a centre are rare: begin with few.
            last.bias[:kinds].fill_(-4.0)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        total = image[:, :2].sum(1, keepdim=True)
        rows, columns = self.reach
        wide = nn.functional.pad(around(total, rows), (columns, columns))
        s, y, x, r2 = nn.functional.conv2d(wide, self.moments, stride=CELL).unbind(1)
        mass = (s * r2 - y.square() - x.square()).clamp(min=0).sqrt()
        ln_s, ln_m = s.log1p(), mass.log1p()
        middle = [part / (s + 1.0) for part in (y, x)]
        known = torch.stack([ln_s / 5, ln_m / 5, *middle], dim=1)
        seen = self.begun(self.begin(around(image.log1p(), 1))).relu_()
        state = self.join(torch.cat([seen, known], dim=1)).relu_()
        for dilation, layer, norm in zip(DILATIONS, self.layers, self.norms, strict=True):
            state = state + norm(layer(around(state, dilation))).relu_()
        out = self.heads(state)
        logits = torch.where(s[:, None] > 0, out[:, : self.kinds], NOWHERE)
        place = out[:, self.kinds : self.kinds + 2]
        size = out[:, self.kinds + 2 :] + torch.stack([ln_s, ln_m], dim=1)
        return torch.cat([logits, place, size], dim=1)


def around(image: Tensor, rows: int) -> Tensor:
    """Return images (B, C, R, W) with `rows` rows of the other end at both ends."""
    if not rows:
        return image
    return torch.cat([image[:, :, -rows:], image, image[:, :, :rows]], dim=2)
