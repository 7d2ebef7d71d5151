import torch

from colliderkit.events.scaling import Standardise


def test_standardises_and_keeps_constants_finite() -> None:
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    scaling = Standardise(2).fit(x)
    torch.testing.assert_close(scaling(x), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


def test_clips_outliers() -> None:
    scaling = Standardise(1, clip=3.0).fit(torch.tensor([[-1.0], [1.0]]))
    assert float(scaling(torch.tensor([[100.0]]))) == 3.0
