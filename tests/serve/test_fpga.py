"""Firmware: what is written is what was trained, and hls4ml's own emulation agrees bit for bit."""

import shutil
import sys

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.serve.fpga import layers_of, precisions, write_firmware
from colliderkit.sources.toys.trigger import COLUMNS, stream, table
from colliderkit.training.settings import Training

EVENTS = table(stream(1_000, seed=1)).astype(np.float32).astype(np.float64)
QUICK = Training(epochs=1, batch_size=256)


def small(**more) -> Autoencoder:
    options = {"hidden": [8], "bits": 6}
    method = Autoencoder(features=COLUMNS, latent=2, options=options, training=QUICK, **more)
    return method.fit(EVENTS, seed=1, progress=False)


def test_types_are_those_of_the_training():
    scorer = small()
    types = precisions(scorer)
    kinds = [type(layer).__name__ for layer in layers_of(scorer)]
    assert kinds == ["Linear", "ReLU", "Linear", "Linear", "ReLU", "Linear"]
    assert len(types) == 1 + len(kinds)
    encoder = scorer.model_.coder.encoder.layers
    assert types[0]["result"] == "ap_fixed<16,5,AP_RND_CONV,AP_SAT>"  # standardised, up to 10
    assert types[1]["weight"] == f"ap_fixed<6,{encoder[0].weights.integer},AP_RND_CONV,AP_SAT>"
    assert types[2]["result"] == f"ap_ufixed<6,{encoder[2].inputs.integer},AP_RND_CONV,AP_SAT>"
    assert types[-1]["result"].startswith("ap_fixed<16,")
    # Weights are what the types can hold.
    weight, step = layers_of(scorer)[0].weight, encoder[0].weights.step
    assert float((weight / step - (weight / step).round()).abs().max()) == 0
    radius = small(kind="variational", measure="radius")
    assert [layer.out_features for layer in layers_of(radius)[::2]] == [8, 2]


@pytest.mark.slow
def test_the_emulation_gives_the_same_numbers(tmp_path):
    pytest.importorskip("hls4ml")
    if shutil.which("g++") is None:
        pytest.skip("the emulation is compiled by g++")
    scorer = small()
    firmware = write_firmware(scorer, tmp_path / "project")
    np.testing.assert_array_equal(firmware.score(EVENTS), scorer.score(EVENTS))
    assert (tmp_path / "project" / "firmware").is_dir()


def test_bad_input_is_one_sentence(tmp_path, monkeypatch):
    scorer = small()
    monkeypatch.setitem(sys.modules, "hls4ml", None)
    with pytest.raises(
        InputError, match=r"hls4ml, which is not .* pip install 'colliderkit\[fpga\]"
    ):
        write_firmware(scorer, tmp_path / "project")
    with pytest.raises(InputError, match="representation 'set' with a normal prior is not written"):
        write_firmware(Autoencoder(representation="set"), tmp_path / "project")
    with pytest.raises(InputError, match="a contrastive autoencoder is an exponential"):
        write_firmware(Autoencoder(kind="contrastive"), tmp_path / "project")
    assert not list(tmp_path.iterdir())
