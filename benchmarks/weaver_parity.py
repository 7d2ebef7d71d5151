"""Compare ParticleNet and the Particle Transformer with weaver-core 0.5.3, weights copied in.

In an environment of weaver's own (pip install torch==2.13.0 weaver-core==0.5.3 tabulate):

    python benchmarks/weaver_parity.py dump FOLDER

writes random jets, weaver's weights (its batch-normalisation statistics moved off their start) and
its logits, in float64 and in float32. Then, in ours:

    python benchmarks/weaver_parity.py compare FOLDER

prints the largest difference of the logits relative to the largest logit, writes the results and
exits with 1 if it passes 1e-5 in float64. In float32 two particles at almost one distance may
change places among the neighbours, and the mass of a collinear pair is lost in rounding, so it is
printed for information.
"""

import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

LIMIT = 1e-5


def jets(count: int = 64, longest: int = 100, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Draw features (B, N, 7), vectors (B, N, 4) and mask (B, N) of jets of 18 or more."""
    random = np.random.default_rng(seed)
    mask = np.arange(longest) < random.integers(18, longest + 1, count)[:, None]
    pt = random.exponential(8.0, mask.shape) + 0.5
    eta, phi = random.normal(0, 0.3, (2, *mask.shape))
    mass = 0.13957
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    vectors = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], -1)
    features = random.normal(size=(*mask.shape, 7))
    padded = mask[..., None]
    return tuple(torch.from_numpy(x) for x in (features * padded, vectors * padded, mask))


def points(vectors: Tensor, mask: Tensor) -> Tensor:
    """Return (eta, phi) relative to the jet's axis, (B, 2, N), zero where padded."""
    axis = vectors.sum(1, keepdim=True)
    eta, axis_eta = (torch.asinh(v[..., 2] / v[..., :2].norm(dim=-1)) for v in (vectors, axis))
    phi, axis_phi = (torch.atan2(v[..., 1], v[..., 0]) for v in (vectors, axis))
    return torch.stack([eta - axis_eta, phi - axis_phi], 1).where(mask[:, None], 0.0)


def dump(folder: Path) -> None:
    """Write weaver's weights and logits."""
    from weaver.nn.model.ParticleNet import ParticleNet
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    torch.manual_seed(0)
    features, vectors, mask = jets()
    models = {
        "particle_net": ParticleNet(
            7,
            2,
            conv_params=[(16, (64,) * 3), (16, (128,) * 3), (16, (256,) * 3)],
            fc_params=[(256, 0.1)],
            use_fusion=False,
        ),
        "particle_transformer": ParticleTransformer(7, 2, use_pre_activation_pair=False),
    }
    for name, model in models.items():
        for norm in model.modules():
            if isinstance(norm, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
                norm.running_mean.normal_(0, 0.3)
                norm.running_var.uniform_(0.5, 2.0)
                norm.weight.data.uniform_(0.7, 1.3)
                norm.bias.data.normal_(0, 0.2)
        arrays = {key: value.numpy() for key, value in model.state_dict().items()}
        for kind in (torch.float64, torch.float32):
            model.to(kind).eval()
            x, v = features.to(kind).transpose(1, 2), vectors.to(kind).transpose(1, 2)
            real = mask[:, None]
            first = points(vectors, mask).to(kind) if name == "particle_net" else x
            second = x if name == "particle_net" else v
            with torch.no_grad():
                logits = model(first, second, real) if name == "particle_net" else model(x, v, real)
            arrays[f"logits_{kind}"] = logits.numpy()
        np.savez(folder / f"{name}.npz", **arrays)


# Weaver's names and ours, tried in this order on the names of the one network.
NAMES = {
    "particle_net": (
        (r"^bn_fts", "norm"),
        (r"^edge_convs", "convolutions"),
        (r"\.convs\.", ".edges.linears."),
        (r"\.bns\.", ".edges.norms."),
        (r"\.sc_bn\.", ".shortcut_norm."),
        (r"\.sc\.", ".shortcut."),
        (r"^fc\.0\.0\.", "head.0."),
        (r"^fc\.1\.", "head.3."),
    ),
    "particle_transformer": (
        (r"^norm\.", "class_norm."),
        (r"^embed\.input_bn\.", "norm."),
        (r"^embed\.embed\.", "embed."),
        (r"^pair_embed\.embed\.0\.", "pairs.norm."),
        *((rf"^pair_embed\.embed\.{3 * i + 1}\.", f"pairs.layers.linears.{i}.") for i in range(4)),
        *((rf"^pair_embed\.embed\.{3 * i + 2}\.", f"pairs.layers.norms.{i}.") for i in range(4)),
        (r"^cls_", "class_"),
        (r"\.pre_attn_norm\.", ".attention_norm."),
        (r"\.attn\.in_proj\.", ".project_in."),
        (r"\.attn\.out_proj\.", ".project."),
        (r"\.post_attn_norm\.", ".attended_norm."),
        (r"\.pre_fc_norm\.", ".expand_norm."),
        (r"\.fc1\.", ".expand."),
        (r"\.post_fc_norm\.", ".contract_norm."),
        (r"\.fc2\.", ".contract."),
        (r"\.c_attn$", ".head_scale"),
        (r"\.w_resid$", ".residual_scale"),
        (r"^fc\.0\.", "head."),
    ),
}


def renamed(key: str, network: str) -> str:
    """Return our name of one of weaver's tensors."""
    for weaver, ours in NAMES[network]:
        key = re.sub(weaver, ours, key)
    return key


def compare(folder: Path) -> bool:
    """Print how far our logits are from weaver's; return whether float64 passes."""
    from colliderkit.networks.particle_net import ParticleNet
    from colliderkit.networks.particle_transformer import ParticleTransformer
    from comparison import row, save

    features, vectors, mask = jets()
    passed, rows = True, []
    for name, network in (
        ("particle_net", ParticleNet(7)),
        ("particle_transformer", ParticleTransformer(7)),
    ):
        arrays = dict(np.load(folder / f"{name}.npz"))
        logits = {kind: arrays.pop(f"logits_{kind}") for kind in (torch.float64, torch.float32)}
        own = network.state_dict()
        # Weaver's pointwise layers are convolutions of size 1: the same weights, further axes.
        weights = {renamed(key, name): torch.from_numpy(value) for key, value in arrays.items()}
        shaped = {key: value.reshape(own[key].shape) for key, value in weights.items()}
        network.load_state_dict(shaped)
        for kind, expected in logits.items():
            network.to(kind).eval()
            with torch.no_grad():
                got = network(features.to(kind), vectors.to(kind), mask).numpy()
            distance = np.abs(got - expected).max(1) / np.abs(expected).max()
            print(f"{name} {kind}: largest {distance.max():.1e}, median {np.median(distance):.1e}")
            judged = kind == torch.float64
            met = bool(distance.max() < LIMIT) if judged else None
            passed &= met is not False
            rows.append(
                row(
                    f"{name} logits with weaver's weights, {str(kind).removeprefix('torch.')}",
                    float(distance.max()),
                    None,
                    None,
                    None,
                    unit="relative",
                    bar="< 1e-5" if judged else None,
                    met=met,
                    command="python benchmarks/weaver_parity.py dump | compare FOLDER",
                    versions={"weaver-core": "0.5.3", "torch": torch.__version__},
                )
            )
    save("weaver_parity", rows)
    return passed


if __name__ == "__main__":
    task, where = sys.argv[1], Path(sys.argv[2])
    if task == "dump":
        where.mkdir(parents=True, exist_ok=True)
        dump(where)
    elif not compare(where):
        sys.exit("the logits differ by more than 1e-5")
