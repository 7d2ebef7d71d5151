"""A trigger as one file: the same decisions in floats, about the same in integers."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.serve.trigger import export_trigger, scores
from colliderkit.sources.toys.trigger import COLUMNS, signal, stream, table
from colliderkit.training.settings import Training

EVENTS = table(stream(4_000, seed=2))


@cache
def fitted() -> Trigger:
    method = Autoencoder(latent=4, features=COLUMNS, training=Training(epochs=2, batch_size=256))
    trigger = Trigger(method, target=0.05, input_rate=1.0)
    return trigger.fit(table(stream(4_000, seed=1)), seed=1, progress=False)


@pytest.mark.parametrize("bits", [None, 16, 8])
def test_the_file_decides_as_the_trigger(tmp_path, bits):
    trigger = fitted()
    done = export_trigger(trigger, tmp_path / "trigger.onnx", EVENTS, bits=bits)
    session = onnxruntime.InferenceSession(tmp_path / "trigger.onnx")
    score, keep = session.run(["score", "keep"], {"table": EVENTS.astype(np.float32)})
    np.testing.assert_array_equal(keep, score > np.float32(done.threshold))
    assert abs(int(keep.sum()) - int(trigger.keeps(EVENTS).sum())) <= (bits is None)
    assert done.agreement >= {None: 0.99, 16: 0.9, 8: 0.8}[bits]
    about = {p.key: p.value for p in onnx.load(tmp_path / "trigger.onnx").metadata_props}
    assert float(about["threshold"]) == done.threshold
    assert (about["target"], about["input_rate"], about["bits"]) == ("0.05", "1.0", str(bits or 32))
    np.testing.assert_array_equal(scores(tmp_path / "trigger.onnx", EVENTS), score)
    # A signal is kept as often, within the counting error of what the two do not share.
    other = table(signal("A to 4 leptons", 2_000, seed=3))
    efficiency = float((scores(done.path, other) > done.threshold).mean())
    assert abs(efficiency - trigger.keeps(other).mean()) < 0.05
    # One event alone, as a trigger sees them.
    (one,) = session.run(["score"], {"table": EVENTS[:1].astype(np.float32)})
    np.testing.assert_allclose(one, score[:1], rtol=1e-5)


def test_layers_of_eight_bits_are_integers(tmp_path):
    export_trigger(fitted(), tmp_path / "trigger.onnx", EVENTS, bits=8)
    weights = onnx.load(tmp_path / "trigger.onnx").graph.initializer
    matrices = [w for w in weights if len(w.dims) == 2 and min(w.dims) > 1]
    assert len(matrices) == 6
    assert {w.data_type for w in matrices} == {onnx.TensorProto.INT8}


def test_what_cannot_be_exported_is_said(tmp_path):
    with pytest.raises(InputError, match=r"10 events of the stream are given .* give about 200"):
        export_trigger(fitted(), tmp_path / "trigger.onnx", EVENTS[:10])
    (tmp_path / "there.onnx").touch()
    with pytest.raises(InputError, match="exists"):
        export_trigger(fitted(), tmp_path / "there.onnx", EVENTS)
