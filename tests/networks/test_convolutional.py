"""Parameter counts and the refusal of images of another size."""

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.networks.convolutional import CNN, ResNeXt


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_round_to_the_published_ones():
    # 1902.09914 quotes 610k and 1.46M. Padding and first shortcut are not printed there: they
    # are the choices that give these.
    assert count(CNN()) == 609_666
    assert count(ResNeXt()) == 1_457_314


@pytest.mark.parametrize("pixels", [10, 37, 40])
def test_cnn_takes_the_size_that_it_is_built_for(pixels):
    assert CNN(pixels=pixels)(torch.rand(2, 1, pixels, pixels)).shape == (2, 2)


def test_a_wrong_size_is_named():
    with pytest.raises(InputError, match=r"images of 64x64 do not fit .* network has 40"):
        CNN()(torch.rand(1, 1, 64, 64))
    with pytest.raises(InputError, match="'pixels' is 9; the CNN needs at least 10"):
        CNN(pixels=9)


def test_resnext_shifts_with_the_image():
    # Strides multiply to 32: circular copies of a pattern by 32 pixels pool to the same.
    network = ResNeXt().eval()
    image = torch.zeros(1, 1, 256, 256)
    image[..., 96:104, 96:104] = torch.rand(8, 8)
    torch.testing.assert_close(network(image), network(image.roll(32, -1)), rtol=1e-4, atol=1e-4)
