"""ParticleNet against a plain sum over its edges, and what its inputs must not change."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from colliderkit.events import fourvectors
from colliderkit.events.graphs import angular_distance, squared_distance
from colliderkit.networks import particle_net, pointwise
from colliderkit.networks.particle_net import ParticleNet, ParticleNetLite

LENGTHS = (20, 30, 1, 0, 3, 9, 8, 7)


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


def logits_of_one(net: ParticleNet, features: Tensor, vectors: Tensor) -> Tensor:
    """Follow the definition for one jet in evaluation mode, edge by edge: (n, F) -> (outputs,)."""
    x = net.norm(features)
    real = torch.ones(1, len(x), dtype=torch.bool)
    _, deta, dphi = fourvectors.relative(vectors[None], real)
    distance = angular_distance(deta, dphi)[0]
    for convolution in net.convolutions:
        means = []
        for i in range(len(x)):
            others = sorted((j for j in range(len(x)) if j != i), key=lambda j: distance[i, j])
            total = torch.zeros(convolution.edges.linears[-1].out_features, dtype=x.dtype)
            chosen = others[: net.neighbours]
            for j in chosen:
                h = torch.cat([x[i], x[j] - x[i]])[None]
                for linear, norm in zip(
                    convolution.edges.linears, convolution.edges.norms, strict=True
                ):
                    h = norm(linear(h)).relu()
                total = total + h[0]
            means.append(total / max(1, len(chosen)))
        if convolution.shortcut is not None:
            x = convolution.shortcut_norm(convolution.shortcut(x))
        x = (x + torch.stack(means)).relu()
        distance = squared_distance(x[None])[0]
    return net.head(x.mean(0))


def network(kind: type[ParticleNet] = ParticleNetLite) -> ParticleNet:
    """Build a network in float64 with batch-normalisation statistics off their start."""
    torch.manual_seed(0)
    net = kind(7, dropout=0.0).double()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.mark.parametrize(("kind", "count"), [(ParticleNet, 366_160), (ParticleNetLite, 26_416)])
def test_parameter_count_as_published(kind: type[ParticleNet], count: int) -> None:
    assert sum(p.numel() for p in kind(inputs=7, outputs=2).parameters()) == count


def test_logits_follow_the_definition() -> None:
    net = network()
    features, vectors, mask = jets((20, 8, 7, 3, 2))
    expected = [
        logits_of_one(net, f[m], v[m]) for f, v, m in zip(features, vectors, mask, strict=True)
    ]
    torch.testing.assert_close(net(features, vectors, mask), torch.stack(expected))


def test_lone_particle_keeps_the_shortcut() -> None:
    net = network()
    features, vectors, mask = jets((1,))
    x = net.norm(features[0])
    for convolution in net.convolutions:
        x = convolution.shortcut_norm(convolution.shortcut(x)).relu()
    torch.testing.assert_close(net(features, vectors, mask), net.head(x))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_plain_layers(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small pieces, so that several meet in each layer.
    monkeypatch.setattr(particle_net, "chunk_rows", lambda width, device: 23)
    net = network().train(training)
    features, vectors, mask = jets()
    features.requires_grad_()
    weight = torch.randn(len(mask), 2, dtype=torch.float64)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    got = torch.autograd.grad(
        (net(features, vectors, mask) * weight).sum(), [features, *net.parameters()]
    )
    moved = {key: value.clone() for key, value in net.state_dict().items()}

    net.load_state_dict(state)
    monkeypatch.setattr(particle_net, "_EdgeMean", PlainEdgeMean)
    expected = torch.autograd.grad(
        (net(features, vectors, mask) * weight).sum(), [features, *net.parameters()]
    )
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    for key, value in net.state_dict().items():
        torch.testing.assert_close(moved[key], value)


class PlainEdgeMean:
    """What `_EdgeMean` computes, by autograd over all edges at once."""

    @staticmethod
    def apply(
        layers: pointwise.PointwiseLayers,
        senders: Tensor,
        degrees: Tensor,
        own: Tensor,
        other: Tensor,
        *_: Tensor,
    ) -> Tensor:
        exists = torch.arange(senders.shape[1]) < degrees[:, None]
        h = layers.norms[0]((own[:, None] + other[senders])[exists]).relu()
        for linear, norm in zip(layers.linears[1:], layers.norms[1:], strict=True):
            h = norm(linear(h)).relu()
        receivers = torch.arange(len(own))[:, None].expand_as(senders)[exists]
        total = torch.zeros(len(own), h.shape[1], dtype=h.dtype).index_add(0, receivers, h)
        return total / degrees.clamp(min=1)[:, None]


def test_padding_and_batch_mates_change_nothing() -> None:
    net = network()
    features, vectors, mask = jets()
    together = net(features, vectors, mask)
    alone = [
        net(f[None, : max(1, n)], v[None, : max(1, n)], m[None, : max(1, n)])
        for f, v, m, n in zip(features, vectors, mask, LENGTHS, strict=True)
    ]
    torch.testing.assert_close(torch.cat(alone), together)
    # What stands in the padding is not read.
    noise = torch.randn_like(features) * ~mask[..., None]
    torch.testing.assert_close(net(features + noise, vectors, mask), together)


def test_order_of_particles_changes_nothing() -> None:
    net = network()
    features, vectors, mask = jets()
    order = torch.randperm(mask.shape[1])
    torch.testing.assert_close(
        net(features[:, order], vectors[:, order], mask[:, order]), net(features, vectors, mask)
    )


def test_training_statistics_are_those_of_real_edges() -> None:
    net = network().train()
    features, vectors, mask = jets((9, 1, 0))
    wide = [nn.functional.pad(x, (0, 0, 0, 40)) for x in (features, vectors)]
    padded = nn.functional.pad(mask, (0, 40))
    state = {key: value.clone() for key, value in net.state_dict().items()}
    net(features, vectors, mask)
    short = {key: value.clone() for key, value in net.state_dict().items()}
    net.load_state_dict(state)
    net(*wide, padded)
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, short[key])


@pytest.mark.parametrize("lengths", [(0,), (1,), (0, 0), (1, 0, 1), (2,)])
def test_jets_of_hardly_anything_train(lengths: tuple[int, ...]) -> None:
    net = network().train()
    output = net(*jets(lengths))
    output.sum().backward()
    assert output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_single_precision_agrees_with_double() -> None:
    net = network(ParticleNet)
    features, vectors, mask = jets((60, 40, 20))
    expected = net(features, vectors, mask)
    got = net.float()(features.float(), vectors.float(), mask)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_onnx_gives_the_same_logits_at_any_length(tmp_path) -> None:  # type: ignore[no-untyped-def]
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = ParticleNetLite(7, blocks=((8, 8), (12, 12)), hidden=8).eval()
    batch, size = torch.export.Dim("batch"), torch.export.Dim("size")
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        net,
        tuple(jets((20, 5), torch.float32)),
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
