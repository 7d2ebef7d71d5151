"""GravNet: hits exchange features with their neighbours in a space that is learned (1902.07987)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["GravNet", "GravNetBlock", "nearest"]

DENSE = 1500  # hits, above which neighbours come from a k-d tree and no longer from all distances
FALL = 10.0  # exp(-10 d^2), as in the paper
NEVER = -1e4  # below any message: what padding says where a maximum is taken


def nearest(space: Tensor, mask: Tensor, neighbours: int) -> Tensor:
    """Return the places of the nearest hits of each, (B, N, k) int64, itself the first.

    `space` (B, N, S), `mask` (B, N) True where a hit is real; where an event has fewer than k, the
    rest are places of padding or, of padded hits, any. No gradient.
    """
    if torch.compiler.is_exporting():
        # Of any length, with k hits of padding at least: what exports adds them.
        squared = (space[:, :, None] - space[:, None]).square().sum(3)
        far = squared.masked_fill(~mask[:, None], torch.inf)
        return far.topk(neighbours, dim=2, largest=False).indices
    size = space.shape[1]
    count = min(neighbours, size)
    with torch.no_grad():
        if size <= DENSE or space.device.type != "cpu":
            distance = torch.cdist(space, space)
            if not whole(mask):
                distance = distance.masked_fill(~mask[:, None], torch.inf)
            return distance.topk(count, dim=2, largest=False).indices
        from scipy.spatial import cKDTree

        found = torch.zeros(*mask.shape, count, dtype=torch.int64)
        events = zip(space.detach().numpy(), mask.numpy(), strict=True)
        for event, (places, real) in enumerate(events):
            own = np.flatnonzero(real)
            if len(own) == 0:
                continue
            near = cKDTree(places[own]).query(places[own], k=min(count, len(own)))[1]
            near = own[near.reshape(len(own), -1)]
            # Of too few hits the last are padding, which the weights leave out.
            spare = np.flatnonzero(~real)[: count - near.shape[1]]
            rows = np.concatenate([near, np.broadcast_to(spare, (len(own), len(spare)))], axis=1)
            found[event, torch.from_numpy(own), : rows.shape[1]] = torch.from_numpy(rows)
        return found


class GravNetBlock(nn.Module):
    """One exchange: place hits, weight features of the nearest by exp(-10 d^2), mean and maximum.

    (B, N, F) -> (B, N, outputs). `space` S dimensions of the place, `propagated` features that
    are exchanged, `neighbours` k of each hit, itself among them. The weight is that of the paper
    times `faded`, so that a hit is not lost at once when another becomes as near.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        space: int = 4,
        propagated: int = 22,
        neighbours: int = 16,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.place = nn.Linear(inputs, space)
        self.give = nn.Linear(inputs, propagated)
        self.out = nn.Linear(inputs + 2 * propagated, outputs)

    def neighbourhood(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the places of the neighbours of each hit, (B, k, N), and `faded` of them."""
        space = self.place(x)
        # One more than are heard, which says where the neighbourhood ends.
        near = nearest(space, mask, self.neighbours + 1).transpose(1, 2)
        return near[:, : self.neighbours], faded(space, mask, near, self.neighbours)

    def forward(self, x: Tensor, mask: Tensor, near: Tensor, fade: Tensor | None = None) -> Tensor:
        """Return the new features; neighbours `near` (B, k, N), whose weights `fade` multiplies."""
        space, given = self.place(x), self.give(x)
        # Neighbours before hits: sums and maxima over them go along rows then.
        offset = gathered(space, near) - space[:, None]
        weight = torch.exp(-FALL * offset.square().sum(3))
        weight = weight if fade is None else weight * fade
        messages = gathered(given, near)
        if whole(mask):
            messages = messages * weight[..., None]
            mean, most = messages.mean(1), messages.amax(1)
        else:
            real = gathered(mask[..., None].to(x.dtype), near)
            messages = messages * (weight[..., None] * real)
            mean = messages.sum(1) / real.sum(1).clamp(min=1)
            most = messages.masked_fill(real < 0.5, NEVER).amax(1)
        return nn.functional.elu(self.out(torch.cat([x, mean, most], dim=2)))


def faded(space: Tensor, mask: Tensor, near: Tensor, neighbours: int) -> Tensor:
    """Return 1 - exp(-10 (d_out^2 - d^2)) of the `neighbours` of each hit, (B, k, N).

    d is the distance of a neighbour and d_out that of the first hit that is none, near[:, k]; it is
    1 where there is none such. Two hits that change places at the border have 0 both: rounding,
    which decides who is nearer, decides nothing else.
    """
    squared = (gathered(space, near) - space[:, None]).square().sum(3)
    if near.shape[1] <= neighbours:
        return torch.ones_like(squared)
    inside, border = squared[:, :neighbours], squared[:, neighbours:]
    beyond = gathered(mask[..., None], near[:, neighbours:])[..., 0]
    return (1 - torch.exp(-FALL * (border - inside).clamp(min=0))).where(beyond, 1.0)


def whole(mask: Tensor) -> bool:
    """Say whether no hit is padding, so that nothing has to be left out."""
    return not torch.compiler.is_exporting() and bool(mask.all())


def gathered(values: Tensor, places: Tensor) -> Tensor:
    """Return values (B, N, C) at places (B, n, m) of their event, (B, n, m, C)."""
    batch, size, width = values.shape
    first = torch.arange(batch, device=values.device)[:, None, None] * size
    rows = (places + first).reshape(-1)
    return values.reshape(batch * size, width).index_select(0, rows).reshape(*places.shape, width)


class GravNet(nn.Module):
    """Network on the hits of events: (B, N, C) and a mask (B, N) -> (B, N, outputs).

    The features are standardised by `mean` and `scale` (C,), which a method sets; then `blocks` of
    dense layers and an exchange, whose outputs are all seen by the last layers. The mean of all
    hits of the event is given to each before an exchange. Neighbours are found once, in the space
    of the first exchange, which is most of the time; later ones weight these by places of their
    own.

    Args:
        inputs: features of a hit.
        outputs: numbers of each hit.
        width: of the layers.
        blocks: exchanges.
        space: dimensions of the place of a hit.
        propagated: features that are exchanged.
        neighbours: k.
    """

    mean: Tensor
    scale: Tensor
    before: Any  # nn.ModuleList, of whose members mypy knows nothing
    blocks: Any

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        width: int = 48,
        blocks: int = 2,
        space: int = 4,
        propagated: int = 22,
        neighbours: int = 16,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        sizes: dict[str, Any] = {"space": space, "propagated": propagated, "neighbours": neighbours}
        widths = [inputs] + [width] * (blocks - 1)
        self.before = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * w, width), nn.ELU(), nn.Linear(width, width), nn.ELU())
            for w in widths
        )
        self.blocks = nn.ModuleList(GravNetBlock(width, width, **sizes) for _ in widths)
        self.last = nn.Sequential(
            nn.Linear(inputs + blocks * width, width),
            nn.ELU(),
            nn.Linear(width, width),
            nn.ELU(),
            nn.Linear(width, outputs),
        )

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        real = mask[..., None].to(features.dtype)
        x = (features - self.mean) * self.scale * real
        count = real.sum(1, keepdim=True).clamp(min=1)
        seen = [x]
        shared: tuple[Tensor, Tensor] | None = None
        for before, block in zip(self.before, self.blocks, strict=True):
            event = ((x * real).sum(1, keepdim=True) / count).expand_as(x)
            x = before(torch.cat([x, event], dim=2))
            shared = block.neighbourhood(x, mask) if shared is None else shared
            x = block(x, mask, *shared)
            seen.append(x)
        out: Tensor = self.last(torch.cat(seen, dim=2))
        return out * real
