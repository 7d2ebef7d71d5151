"""Scores of pairs of tracks: are both of one vertex? A transformer with attention over pairs."""

import torch
from torch import Tensor, nn

__all__ = ["TrackPairs"]

TRACKS, PAIRS = 9, 8  # features of each
WEAK = 30.0  # mm, within which a vertex is anyway: a fit of two parallel tracks has an answer


class TrackPairs(nn.Module):
    """Give each pair of a jet's tracks a logit: set to graph (2008.02831), with pairs in attention.

    Called with tracks (B, L, 9) by `events.secondary_vertices.COLUMNS` and a mask (B, L); returns
    (B, L, L), equal for both orders of a pair of tracks. These exchange what they know in `blocks`
    of attention whose logits are moved by features of the pair (as in 2202.03772):

        h <- h + Attention(h; u_ij),    h <- h + MLP(h),
        score_ij = MLP(A (h_i + h_j) + B (h_i h_j) + C u_ij).

    The pair knows the vertex that its two tracks make, a fit of straight lines: chi2, its place
    along the jet's axis and beside it, in mm and in errors, and the pair's mass and angle.

    Args:
        width: of the layers.
        blocks: of attention.
        heads: of attention; they divide `width`.
    """

    mean: Tensor
    scale: Tensor
    pair_mean: Tensor
    pair_scale: Tensor

    def __init__(self, *, width: int = 48, blocks: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        for name, size in (("", TRACKS), ("pair_", PAIRS)):
            self.register_buffer(f"{name}mean", torch.zeros(size))
            self.register_buffer(f"{name}scale", torch.ones(size))
        self.embed = nn.Sequential(nn.Linear(TRACKS, width), nn.GELU(), nn.Linear(width, width))
        self.pair = nn.Sequential(nn.Linear(PAIRS, width), nn.GELU(), nn.Linear(width, width))
        self.bias = nn.ModuleList(nn.Linear(width, heads) for _ in range(blocks))
        self.asked = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(blocks))
        self.before = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.change = nn.ModuleList(
            nn.Sequential(
                *(nn.LayerNorm(width), nn.Linear(width, 2 * width)),
                *(nn.GELU(), nn.Linear(2 * width, width)),
            )
            for _ in range(blocks)
        )
        self.sum = nn.Linear(width, width)
        self.product = nn.Linear(width, width, bias=False)
        self.score = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU(),
                                   nn.Linear(width, 1))  # fmt: skip

    def forward(self, tracks: Tensor, mask: Tensor) -> Tensor:
        seen, pairs = features(tracks, mask)
        state = self.embed((seen - self.mean) * self.scale)
        state = state * mask[..., None].to(state.dtype)
        edge = self.pair((pairs - self.pair_mean) * self.pair_scale)
        away = (~mask)[:, None, None, :]
        for bias, asked, before, change in zip(
            self.bias, self.asked, self.before, self.change, strict=True
        ):
            parts = asked(before(state)).unflatten(2, (3, self.heads, -1))
            query, key, value = (parts[:, :, i].transpose(1, 2) for i in range(3))
            logit = query @ key.transpose(2, 3) / value.shape[3] ** 0.5
            logit = (logit + bias(edge).permute(0, 3, 1, 2)).masked_fill(away, -1e4)
            state = state + (logit.softmax(3) @ value).transpose(1, 2).flatten(2)
            state = state + change(state)
        both = self.sum(state)
        first, second = state[:, :, None], state[:, None]
        joint = both[:, :, None] + both[:, None] + self.product(first * second) + edge
        logits: Tensor = self.score(joint)[..., 0]
        return logits

    @torch.no_grad()
    def standardise(self, tracks: Tensor, mask: Tensor) -> None:
        """Set shifts and scales of the inputs by some jets."""
        seen, pairs = features(tracks, mask)
        both = mask[:, :, None] & mask[:, None]
        both = both & ~torch.eye(mask.shape[1], dtype=torch.bool)
        for name, rows in (("", seen[mask]), ("pair_", pairs[both])):
            if len(rows) > 1:
                getattr(self, f"{name}mean").copy_(rows.mean(0))
                getattr(self, f"{name}scale").copy_(1 / rows.std(0).clamp(min=1e-3))


def features(tracks: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is known of each track (B, L, 9) and pair (B, L, L, 8); finite where padded."""
    # Two nearly parallel tracks make matrices that float32 does not invert.
    safe = tracks.double().masked_fill(~mask[..., None], 1.0)
    pt, eta, phi, jet_pt, jet_eta, d0, z0, d0_error, z0_error = safe.unbind(2)
    seen = torch.stack(
        [
            torch.log(pt),
            torch.log(pt / jet_pt),
            eta - jet_eta,
            phi,
            asinh(d0 / d0_error),
            asinh(z0 / z0_error),
            torch.log(d0_error),
            torch.log(z0_error),
            torch.log(jet_pt),
        ],
        dim=2,
    )
    sine, cosine, slope = torch.sin(phi), torch.cos(phi), sinh(eta)
    none = torch.zeros_like(phi)
    across = torch.stack([sine, -cosine, none], dim=2) / d0_error[..., None]
    along = torch.stack([-cosine * slope, -sine * slope, none + 1], 2) / z0_error[..., None]
    pulls = torch.stack([d0 / d0_error, z0 / z0_error], dim=2)
    rows = torch.stack([across, along], dim=3)  # (B, L, 3, 2)
    own = rows @ rows.transpose(2, 3)
    moment = (rows @ pulls[..., None])[..., 0]
    square = pulls.square().sum(2)
    matrix = own[:, :, None] + own[:, None] + torch.eye(3, dtype=own.dtype) / WEAK**2
    inverse = inverted(matrix)
    vector = moment[:, :, None] + moment[:, None]
    place = (inverse @ vector[..., None])[..., 0]
    chi2 = (square[:, :, None] + square[:, None] - (vector * place).sum(3)).clamp(min=0)
    tilt = sinh(jet_eta)[:, :, None]
    axis = torch.stack([torch.ones_like(tilt), torch.zeros_like(tilt), tilt], dim=3)
    axis = (axis / axis.norm(dim=3, keepdim=True)).expand_as(place)
    flight = (place * axis).sum(3)
    error = (axis[..., None, :] @ inverse @ axis[..., None])[..., 0, 0].clamp(min=1e-12).sqrt()
    beside = (place - flight[..., None] * axis).square().sum(3)
    turn = phi[:, :, None] - phi[:, None]
    rise = eta[:, :, None] - eta[:, None]
    mass2 = (
        4 * pt[:, :, None] * pt[:, None] * (sinh(rise / 2).square() + torch.sin(turn / 2).square())
    )
    pairs = torch.stack(
        [
            torch.log(chi2 + 0.01),
            asinh(10 * flight),
            asinh(flight / error),
            torch.log(error),
            torch.log(beside + 1e-4),
            torch.log(mass2 + 1e-4),
            torch.log(turn.square() + rise.square() + 1e-6),
            torch.log(moment_of(inverse) + 1e-8),
        ],
        dim=3,
    )
    return seen.float(), pairs.float()


def sinh(x: Tensor) -> Tensor:
    """Return sinh x by exponentials, which onnxruntime has of double numbers."""
    return (x.exp() - (-x).exp()) / 2


def asinh(x: Tensor) -> Tensor:
    """Return asinh x by a logarithm, as `sinh`."""
    size = x.abs()
    return x.sign() * torch.log(size + (size.square() + 1).sqrt())


def moment_of(inverse: Tensor) -> Tensor:
    """Return the trace of covariances (..., 3, 3), how well a place is known [mm^2]."""
    return inverse[..., 0, 0] + inverse[..., 1, 1] + inverse[..., 2, 2]


def inverted(matrix: Tensor) -> Tensor:
    """Return the inverse of symmetric matrices (..., 3, 3) by their cofactors, which ONNX has."""
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    d, e, f = matrix[..., 1, 1], matrix[..., 1, 2], matrix[..., 2, 2]
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = (a * first + b * second + c * third).clamp(min=1e-30)
    flat = [
        *(first, second, third),
        *(second, a * f - c * c, b * c - a * e),
        *(third, b * c - a * e, a * d - b * b),
    ]
    return (torch.stack(flat, -1) / determinant[..., None]).unflatten(-1, (3, 3))
