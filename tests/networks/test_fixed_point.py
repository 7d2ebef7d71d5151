"""Fixed point: exact values, the gradient straight through, and integers after training."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.networks.fixed_point import (
    Quantiser,
    bit_operations,
    fake_quantise,
    quantised,
)
from colliderkit.networks.mlp import MLP


def test_values_are_those_of_ap_fixed():
    """ap_fixed<4, 2, AP_RND_CONV, AP_SAT>: steps of 1/4 from -2 to 1.75, halves to even."""
    x = torch.tensor([0.0, 0.1, 0.125, 0.13, 0.375, -0.125, -0.375, 1.74, 1.8, 9.0, -1.9, -9.0])
    expected = [0.0, 0.0, 0.0, 0.25, 0.5, 0.0, -0.5, 1.75, 1.75, 1.75, -2.0, -2.0]
    assert quantised(x, 0.25, 4).tolist() == expected
    assert fake_quantise(x, 0.25, 4).tolist() == expected
    # ap_ufixed<3, 1>: from 0 to 1.75.
    unsigned = quantised(torch.tensor([-1.0, 0.12, 0.2, 1.9]), 0.25, 3, signed=False)
    assert unsigned.tolist() == [0.0, 0.0, 0.25, 1.75]


def test_the_gradient_goes_straight_through_inside_and_nowhere_beyond():
    x = torch.tensor([-2.1, -2.0, -0.3, 0.1, 1.75, 1.76], requires_grad=True)
    (3 * fake_quantise(x, 0.25, 4)).sum().backward()
    assert x.grad.tolist() == [0.0, 3.0, 3.0, 3.0, 3.0, 0.0]


@pytest.mark.parametrize(
    ("largest", "bits", "signed", "step", "integer"),
    [(0.9, 4, True, 2**-3, 1), (1.5, 4, True, 2**-2, 2), (1.5, 4, False, 2**-3, 1),
     (6.0, 8, True, 2**-4, 4), (0.03, 8, True, 2**-12, -4)],
)  # fmt: skip
def test_the_step_holds_the_largest(largest, bits, signed, step, integer):
    quantiser = Quantiser(bits, signed=signed)
    quantiser(torch.tensor([0.1 * largest, largest]))
    assert (float(quantiser.step), quantiser.integer) == (step, integer)
    quantiser.eval()
    assert abs(float(quantiser(torch.tensor(largest))) - largest) <= step / 2
    # What comes later changes nothing more.
    quantiser(torch.tensor(100 * largest))
    assert float(quantiser.step) == step


def test_a_network_computes_with_integers():
    torch.manual_seed(1)
    network = MLP(7, 3, hidden=(12, 8), bits=6)
    x = torch.randn(200, 7)
    network(x)
    network.eval()
    values = x.numpy().astype(np.float64)
    for i, layer in enumerate(layer for layer in network.layers if hasattr(layer, "weights")):
        parts = {}
        for name, quantiser, given in (
            ("x", layer.inputs, values),
            ("w", layer.weights, layer.weight.detach().numpy().astype(np.float64)),
            ("b", layer.biases, layer.bias.detach().numpy().astype(np.float64)),
        ):
            step, bits, signed = float(quantiser.step), quantiser.bits, quantiser.signed
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            parts[name] = np.clip(np.rint(given / step), low, high).astype(np.int64), step
        (x_int, s_x), (w_int, s_w), (b_int, s_b) = parts["x"], parts["w"], parts["b"]
        # In integers, and once more only at the end in floats, which hold them.
        values = (x_int @ w_int.T) * (s_x * s_w) + b_int * s_b
        if i < 2:
            values = np.maximum(values, 0)
            assert w_int.max() < 32
            assert w_int.min() >= -32
    last = network.layers[-1]
    values = np.clip(np.rint(values / float(last.step)), -(2**15), 2**15 - 1) * float(last.step)
    found = network(x)
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(found.detach().numpy(), values)
    # So that no order of the sum matters, and no batch.
    np.testing.assert_array_equal(network(x[:1]).detach().numpy(), values[:1])


def test_weights_learn_through_the_rounding():
    torch.manual_seed(2)
    network = MLP(2, 1, hidden=(16,), bits=4)
    x = torch.randn(512, 2)
    y = (x[:, :1] - x[:, 1:]).abs()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(150):
        loss = (network(x) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_batch_norm_has_no_place_in_it():
    with pytest.raises(InputError, match="bits and batch_norm do not go together"):
        MLP(2, 1, bits=8, batch_norm=True)


def test_operations_are_counted():
    # 7 x 12 products of 6 by 16 bits, 12 x 8 and 8 x 3 of 6 by 6.
    expected = 84 * 6 * 16 + (96 + 24) * 36
    assert bit_operations(MLP(7, 3, hidden=(12, 8), bits=6)) == expected
    assert bit_operations(MLP(7, 3, hidden=(12, 8))) == 0
