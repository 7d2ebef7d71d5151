"""CaloGAN's layers against sums that are written out."""

import math

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.generators.gan import GAN
from colliderkit.networks.calogan import (
    LAYERS,
    CaloDiscriminator,
    CaloGenerator,
    LayerAttention,
    LocallyConnected,
    MinibatchDiscrimination,
)


@pytest.mark.parametrize(("stride", "bias"), [(1, True), (2, False)])
def test_a_locally_connected_layer_is_these_loops(stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = LocallyConnected(3, 2, (4, 7), (2, 3), stride=stride, bias=bias)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(5, 3, 4, 7)
    with torch.no_grad():
        y = layer(x)
    height, width = layer.shape
    assert y.shape == (5, 2, height, width) == (5, 2, 3, 5 if stride == 1 else 3)
    weight = layer.weight.detach().reshape(height, width, 2, 3, 3, 2)
    constant = torch.zeros(height * width, 1, 2) if layer.bias is None else layer.bias.detach()
    for b in range(5):
        for o in range(2):
            for i in range(height):
                for j in range(width):
                    total = float(constant[i * width + j, 0, o])
                    for c in range(3):
                        for k in range(2):
                            for m in range(3):
                                at = x[b, c, i + k, stride * j + m]
                                total += float(weight[i, j, k, m, c, o] * at)
                    assert float(y[b, o, i, j]) == pytest.approx(total, abs=1e-5)


def test_equal_kernels_are_a_convolution() -> None:
    convolution = torch.nn.Conv2d(2, 4, 2, bias=False)
    layer = LocallyConnected(2, 4, (5, 6), (2, 2), bias=False)
    with torch.no_grad():
        layer.weight.copy_(convolution.weight.permute(2, 3, 1, 0).flatten(0, 2))
    x = torch.randn(3, 2, 5, 6)
    torch.testing.assert_close(layer(x), convolution(x), rtol=1e-4, atol=1e-5)


def test_minibatch_discrimination_of_three_rows() -> None:
    layer = MinibatchDiscrimination(2, features=2, dimensions=2)
    with torch.no_grad():
        # M = ((x0, x1), (x0 + x1, 0)).
        layer.weight.copy_(torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]))
    x = torch.tensor([[0.0, 0.0], [1.0, -1.0], [3.0, 0.5]])
    e = math.exp
    # |M_0 - M_1| = 2 and 0; |M_0 - M_2| = 3.5 and 3.5; |M_1 - M_2| = 2 + 1.5 and 3.5.
    expected = [
        [1 + e(-2) + e(-3.5), 1 + 1 + e(-3.5)],
        [1 + e(-2) + e(-3.5), 1 + 1 + e(-3.5)],
        [1 + 2 * e(-3.5), 1 + 2 * e(-3.5)],
    ]
    torch.testing.assert_close(layer(x), torch.tensor(expected))
    # A batch of copies is as close as can be.
    torch.testing.assert_close(layer(x[:1].repeat(4, 1)), torch.full((4, 2), 4.0))


def test_attention_begins_with_the_own_image() -> None:
    attention = LayerAttention((4, 3), (2, 6))
    assert attention.weights.bias is not None
    own, previous = torch.rand(5, 1, 4, 3), torch.rand(5, 1, 2, 6)
    torch.nn.init.zeros_(attention.weights.weight)
    attention.requires_grad_(False)
    # The softmax of (0, -10): one part in 22,027 is the previous image's.
    part = 1 / (1 + math.exp(10))
    mixed = attention(own, previous)
    torch.testing.assert_close(mixed, (1 - part) * own + part * attention.resized(previous))
    assert float((mixed - own).abs().max()) < 5e-5
    attention.weights.bias[..., 1] = 10.0
    assert float((attention(own, previous) - attention.resized(previous)).abs().max()) < 5e-5


def test_images_are_repeated_and_averaged() -> None:
    previous = torch.tensor([[1.0, 3.0, 5.0, 7.0]]).reshape(1, 1, 1, 4)
    found = LayerAttention((2, 2), (1, 4)).resized(previous)
    assert found[0, 0].tolist() == [[2, 6], [2, 6]]
    with pytest.raises(InputError, match="images of 2 x 4 and 3 x 4 cells follow"):
        LayerAttention((3, 4), (2, 4))


def test_shapes_and_parameters() -> None:
    torch.manual_seed(0)
    network = CaloGenerator()
    cells = sum(a * b for a, b in LAYERS)
    made = network(torch.randn(3, 1024), torch.full((3, 1), 50.0))
    assert made.shape == (3, cells) == (3, 504)
    assert float(made.detach().min()) >= 0
    expected = 0
    for rows, columns in LAYERS:
        big = (rows + 2) * (columns + 2)
        expected += 1025 * 36 * big + (36 * 4 + 1) * 16 + 2 * 16
        expected += (rows + 1) * (columns + 1) * (16 * 4 * 6 + 6) + rows * columns * 6 * 4
    for rows, columns in LAYERS[1:]:
        expected += rows * columns * (2 * 9 * 2 + 2)
    assert sum(p.numel() for p in network.parameters()) == expected
    judged = CaloDiscriminator(channels=(4, 3, 2, 2))(made.detach(), torch.full((3, 1), 50.0))
    assert judged.shape == (3, 2)
    torch.testing.assert_close(judged[:, 1], made.detach().sum(1))


def test_the_energy_enters_the_judgement() -> None:
    judge = CaloDiscriminator(channels=(4, 3, 2, 2)).eval()
    with torch.no_grad():
        judge.last.weight.zero_()
        # Before ten of minibatch discrimination the layers' energies over ten; after them the
        # total over a hundred, the missing energy, and whether it is much.
        judge.last.weight[0, -16:-13] = torch.tensor([1.0, 10.0, 100.0])
        judge.last.weight[0, -3:] = torch.tensor([1000.0, 1e4, 1e5])
    x = torch.zeros(2, 504)
    x[:, 0], x[:, 300], x[:, 503] = 1.0, 2.0, 3.0
    scores = judge(x, torch.tensor([[8.0], [12.0]]))[:, 0]
    assert scores.tolist() == pytest.approx([32.1 + 60 + 2e4, 32.1 + 60 + 6e4 + 1e6])


def test_the_judgement_begins_where_its_loss_has_a_slope() -> None:
    torch.manual_seed(0)
    judge = CaloDiscriminator(channels=(4, 3, 2, 2))
    # A batch of one shower again and again, to which all others are near.
    x = torch.rand(1, 504).expand(256, 504) / 5
    score = judge(x, x.sum(1, keepdim=True))[:, 0]
    assert float(score.detach().abs().max()) < 10


def test_the_pair_in_a_gan() -> None:
    torch.manual_seed(0)
    shapes = ((2, 4), (2, 2))
    model = GAN(
        12,
        1,
        noise=6,
        network=CaloGenerator(shapes, noise=6, channels=3),
        discriminator=CaloDiscriminator(shapes, channels=(3, 2, 2, 2)),
        regression=0.05,
        unit=1000.0,
    )
    x, c = torch.rand(9, 12) * 1e3, torch.full((9, 1), 5e4)
    model.fit_scaling(x, c)
    model(x, None, c).sum().backward()
    model.discriminator_loss(x, c).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    drawn = model.eval().sample(c, seed=1)
    assert float(drawn.min()) >= 0
    # A shower does not depend on the others that are made with it.
    noise = torch.randn(4, 6)
    together = model.decode(noise, c[:4])
    alone = model.decode(noise[2:3], c[:1])
    # Single precision, in sums whose largest terms are the largest cell's.
    torch.testing.assert_close(together[2:3], alone, rtol=1e-5, atol=1e-5 * float(alone.max()))
