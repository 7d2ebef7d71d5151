"""The Particle Transformer against its definition, and what its inputs must not change."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colliderkit.networks import particle_transformer
from colliderkit.networks.particle_transformer import ParticleTransformer, pair_features
from colliderkit.networks.pointwise import Dropout

LENGTHS = (5, 9, 1, 0, 12, 2)


def jets(lengths: tuple[int, ...] = LENGTHS, kind: torch.dtype = torch.float64) -> list[Tensor]:
    """Draw features, vectors and mask of jets with so many particles."""
    random = np.random.default_rng(3)
    mask = np.arange(max(1, *lengths)) < np.array(lengths)[:, None]
    pt = random.exponential(8.0, mask.shape) + 0.5
    eta, phi = random.normal(0, 0.3, (2, *mask.shape))
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + 0.02)
    vectors = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], -1)
    features = random.normal(size=(*mask.shape, 7))
    padded = mask[..., None]
    return [
        torch.from_numpy(features * padded).to(kind),
        torch.from_numpy(vectors * padded).to(kind),
        torch.from_numpy(mask),
    ]


def network(dropout: float = 0.0) -> ParticleTransformer:
    """Build a small network in float64, every weight off its start."""
    torch.manual_seed(0)
    net = ParticleTransformer(
        7, embed=(16, 24, 16), pair_embed=(8, 8), heads=4, blocks=2, class_blocks=2, dropout=dropout
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.running_mean.normal_(0, 0.3)
                norm.running_var.uniform_(0.5, 2)
    return net.eval()


def plain_logits(
    net: ParticleTransformer, features: Tensor, vectors: Tensor, mask: Tensor
) -> Tensor:
    """Follow the definition jet by jet, batch normalisations over the whole batch."""
    normed = net.norm(features[mask]).split(mask.sum(1).tolist())
    lower = [torch.tril_indices(int(m.sum()), int(m.sum())) for m in mask]
    u = torch.cat([pair_features(v[i], v[j]) for v, (i, j) in zip(vectors, lower, strict=True)])
    h = net.pairs.norm(u)
    for linear, norm in zip(net.pairs.layers.linears, net.pairs.layers.norms, strict=True):
        h = F.gelu(norm(linear(h)))
    logits = []
    embedded = h.split([index.shape[1] for index in lower])
    for x, pairs, (i, j) in zip(normed, embedded, lower, strict=True):
        bias = torch.zeros(pairs.shape[1], len(x), len(x), dtype=x.dtype)
        bias[:, i, j] = pairs.T
        bias[:, j, i] = pairs.T
        x = net.embed(x)
        for block in net.blocks:
            h = block.attention_norm(x)
            x = rest(block, x, attention(block, h, h, bias))
        token = net.class_token[0]
        for block in net.class_blocks:
            seen = block.attention_norm(torch.cat([token, x]))
            none = torch.zeros(1, 1, 1, dtype=x.dtype)
            token = rest(block, token, attention(block, token, seen, none))
        logits.append(net.head(net.class_norm(token))[0])
    return torch.stack(logits)


def attention(block: nn.Module, asks: Tensor, seen: Tensor, bias: Tensor) -> Tensor:
    """Attend from (n, C) to (m, C), a head at a time, before the projection."""
    width = asks.shape[1]
    q, k, v = (
        F.linear(x, w, b)
        for x, w, b in zip(
            (asks, seen, seen),
            block.project_in.weight.split(width),
            block.project_in.bias.split(width),
            strict=True,
        )
    )
    size = width // block.heads
    out = []
    for head, cut in enumerate(range(0, width, size)):
        scores = q[:, cut : cut + size] @ k[:, cut : cut + size].T / math.sqrt(size)
        p = (scores + bias[min(head, len(bias) - 1)]).softmax(1)
        out.append(p @ v[:, cut : cut + size])
    return torch.cat(out, 1)


def rest(block: nn.Module, x: Tensor, attended: Tensor) -> Tensor:
    """Follow what comes after attention, without dropout."""
    scale = torch.cat([c.expand(x.shape[1] // block.heads) for c in block.head_scale])
    x = x + block.attended_norm(block.project(attended) * scale)
    h = F.gelu(block.expand(block.expand_norm(x)))
    return block.contract(block.contract_norm(h)) + block.residual_scale * x


def test_parameter_count_as_published() -> None:
    assert sum(p.numel() for p in ParticleTransformer(inputs=7).parameters()) == 2_141_134


def test_pair_features_of_two_known_particles() -> None:
    # Massless, pt 3 and 1, same azimuth, rapidity 0 and 0.5: m^2 = 2 pt_a pt_b (cosh dy - 1).
    a = torch.tensor([3.0, 0.0, 0.0, 3.0], dtype=torch.float64)
    b = torch.tensor([1.0, 0.0, math.sinh(0.5), math.cosh(0.5)], dtype=torch.float64)
    expected = [
        math.log(0.5),
        math.log(0.25),
        math.log(0.5),
        math.log(6 * (math.cosh(0.5) - 1)),
    ]
    np.testing.assert_allclose(pair_features(a, b).numpy(), expected, rtol=1e-7)
    np.testing.assert_array_equal(pair_features(a, b), pair_features(b, a))
    # A particle with itself: no distance.
    floor = math.log(1e-8)
    np.testing.assert_allclose(
        pair_features(a, a).numpy(), [floor, math.log(0.5), floor, floor], rtol=1e-7
    )


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_follow_the_definition(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small pieces and groups, so that several meet.
    monkeypatch.setattr(particle_transformer, "chunk_rows", lambda width, device: 17)
    groups = particle_transformer._groups
    monkeypatch.setattr(particle_transformer, "_groups", lambda mask: groups(mask, 100))
    net = network().train(training)
    features, vectors, mask = jets()
    features.requires_grad_()
    vectors.requires_grad_()
    weight = torch.randn(len(mask), 2, dtype=torch.float64)
    leaves = [features, vectors, *net.parameters()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    logits = net(features, vectors, mask)
    got = torch.autograd.grad((logits * weight).sum(), leaves)
    moved = {key: value.clone() for key, value in net.state_dict().items()}

    net.load_state_dict(state)
    expected_logits = plain_logits(net, features, vectors, mask)
    expected = torch.autograd.grad((expected_logits * weight).sum(), leaves)
    torch.testing.assert_close(logits, expected_logits)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    for key, value in net.state_dict().items():
        torch.testing.assert_close(moved[key], value)


def test_padding_and_batch_mates_change_nothing() -> None:
    net = network()
    features, vectors, mask = jets()
    together = net(features, vectors, mask)
    alone = [
        net(f[None, : max(1, n)], v[None, : max(1, n)], m[None, : max(1, n)])
        for f, v, m, n in zip(features, vectors, mask, LENGTHS, strict=True)
    ]
    torch.testing.assert_close(torch.cat(alone), together)
    noise = torch.rand_like(features) * ~mask[..., None]
    torch.testing.assert_close(net(features + noise, vectors + noise[..., :4], mask), together)


def test_order_of_particles_and_of_jets_changes_nothing() -> None:
    net = network()
    features, vectors, mask = jets()
    expected = net(features, vectors, mask)
    order = torch.randperm(mask.shape[1])
    got = net(features[:, order], vectors[:, order], mask[:, order])
    torch.testing.assert_close(got, expected)
    order = torch.randperm(len(mask))
    torch.testing.assert_close(net(features[order], vectors[order], mask[order]), expected[order])


@pytest.mark.parametrize("lengths", [(0,), (1,), (0, 0), (1, 0, 1), (2,)])
def test_jets_of_hardly_anything_train(lengths: tuple[int, ...]) -> None:
    net = network(dropout=0.1).train()
    output = net(*jets(lengths))
    output.sum().backward()
    assert output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_dropout_drops_its_share_and_repeats_from_a_seed() -> None:
    drop = Dropout(0.1)
    x = torch.ones(1000, 1000)
    torch.manual_seed(5)
    first = drop(x)
    share = (first == 0).float().mean().item()
    assert share == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / x.numel()))
    np.testing.assert_allclose(first[first != 0].numpy(), 1 / 0.9, rtol=1e-6)
    # Neighbours are dropped independently of each other.
    dropped = (first == 0).float()
    both = (dropped[:, 1:] * dropped[:, :-1]).mean().item()
    assert both == pytest.approx(0.01, abs=5 * math.sqrt(0.01 / x.numel()))
    assert not torch.equal(drop(x), first)
    torch.manual_seed(5)
    assert torch.equal(drop(x), first)
    assert drop.eval()(x) is x


def test_dropout_in_attention_has_the_right_mean_and_gradient() -> None:
    # One jet of two particles: the bias chooses the shares, the values are known.
    torch.manual_seed(0)
    order, (group,) = particle_transformer._groups(torch.ones(4000, 2, dtype=torch.bool))
    qkv = torch.zeros(8000, 3, dtype=torch.float64)
    qkv[:, 2] = torch.tensor([1.0, 3.0]).repeat(4000)
    qkv.requires_grad_()
    bias = torch.zeros(4000, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    dropout = Dropout(0.5)
    out = particle_transformer._Attention.apply(qkv, bias, group, dropout)
    # (1 k_1 + 3 k_2) / 2 with k = 0 or 2.
    values, counts = out.detach().unique(return_counts=True)
    assert values.tolist() == [0.0, 1.0, 3.0, 4.0]
    assert counts.double().div(8000).numpy() == pytest.approx([0.25] * 4, abs=0.025)
    out.sum().backward()
    # d out / d value j is the share p_ij kept: summed over both queries 0, 1 or 2.
    assert set(qkv.grad[:, 2].unique().tolist()) == {0.0, 1.0, 2.0}
    assert bias.grad is not None
    torch.testing.assert_close(bias.grad.sum(3), torch.zeros_like(bias.grad.sum(3)))
    assert len(order) == 4000


def test_single_precision_agrees_with_double() -> None:
    net = network()
    features, vectors, mask = jets((40, 30, 20))
    expected = net(features, vectors, mask)
    got = net.float()(features.float(), vectors.float(), mask)
    # The mass of a collinear pair loses its digits in float32; its logarithm is embedded.
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_onnx_gives_the_same_logits_at_any_length(tmp_path) -> None:  # type: ignore[no-untyped-def]
    onnxruntime = pytest.importorskip("onnxruntime")
    net = network().float()
    batch, size = torch.export.Dim("batch"), torch.export.Dim("size")
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        net,
        tuple(jets((9, 5), torch.float32)),
        str(path),
        input_names=["features", "vectors", "mask"],
        dynamic_shapes=({0: batch, 1: size}, {0: batch, 1: size}, {0: batch, 1: size}),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for lengths in (LENGTHS, (3, 2, 1), (1,), (40,), (0, 4)):
        inputs = jets(lengths, torch.float32)
        names = ("features", "vectors", "mask")
        feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        (got,) = session.run(None, feed)
        np.testing.assert_allclose(got, net(*inputs).detach().numpy(), rtol=1e-5, atol=1e-5)
