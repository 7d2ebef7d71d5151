"""Recurrent networks against their cells, stepped by hand."""

import pytest
import torch

from colliderkit.networks.recurrent import GRU, LSTM


@pytest.mark.parametrize(("network", "cell"), [(LSTM, torch.nn.LSTMCell), (GRU, torch.nn.GRUCell)])
def test_the_head_sees_the_state_after_the_last_real_particle(network, cell):
    network = network(3, 2, hidden=5, dense=4)
    by_hand = cell(3, 5)
    for name, p in by_hand.named_parameters():
        p.data = getattr(network.reader, f"{name}_l0").data
    x = torch.randn(3, 6, 3)
    lengths = torch.tensor([6, 2, 0])
    mask = torch.arange(6) < lengths[:, None]
    expected = []
    for i in range(3):
        state = None
        for step in range(lengths[i]):
            state = by_hand(x[i, step : step + 1], state)
        hidden = state[0] if isinstance(state, tuple) else state
        expected.append(network.head(torch.zeros(1, 5) if hidden is None else hidden)[0])
    torch.testing.assert_close(network(x, None, mask), torch.stack(expected))


def test_order_matters():
    network = LSTM(3)
    x, mask = torch.randn(2, 6, 3), torch.ones(2, 6, dtype=torch.bool)
    assert (network(x, None, mask) - network(x.flip(1), None, mask)).abs().min() > 1e-4
