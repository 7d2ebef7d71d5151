"""The dense network and the linear one."""

import torch

from colliderkit.networks.linear import Linear
from colliderkit.networks.mlp import MLP


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_n_subjettiness_network_has_the_published_size():
    # Three exponents of tau_1 .. tau_{M-1}, jet mass and pt: 17 inputs for 6-body, 23 for 8-body.
    assert count(MLP(17)) == 56_502  # quoted as 57k in 1902.09914
    assert count(MLP(23)) == 57_702  # quoted as 58k


def test_mlp_is_relu_layers():
    network = MLP(3, 2, hidden=(4, 5))
    x = torch.randn(7, 3)
    h = x
    for layer in (network.layers[0], network.layers[2]):
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
    expected = h @ network.layers[4].weight.T + network.layers[4].bias
    torch.testing.assert_close(network(x), expected)


def test_a_last_batch_of_one_event_trains_with_batch_norm():
    network = MLP(3, hidden=(4,), batch_norm=True)
    before = network.layers[1].running_mean.clone()
    x = torch.randn(1, 3)
    torch.testing.assert_close(network(x), network.eval()(x))
    assert torch.equal(network.layers[1].running_mean, before)


def test_dropout_acts_in_training_only():
    network = MLP(3, hidden=(1000,), dropout=0.5)
    x = torch.randn(1, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_linear_starts_undecided_and_is_affine():
    network = Linear(3, 5)
    x = torch.randn(4, 3)
    assert torch.equal(network(x), torch.zeros(4, 5))
    torch.nn.init.normal_(network.layer.weight)
    torch.testing.assert_close(network(2 * x), 2 * network(x))
