"""A trigger as one file: the same decisions in floats, about the same in integers."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.topologies import Topologies
from colliderkit.methods.search.trigger import Trigger
from colliderkit.serve.trigger import decisions, export_trigger, scores
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


@cache
def by_topology() -> Trigger:
    """The same score, with a threshold in each topology."""
    trigger = fitted()
    other = Trigger(
        trigger.method, target=0.05, input_rate=1.0, topologies=Topologies(smallest=100)
    )
    return other.fit(table(stream(4_000, seed=1)), seed=1, progress=False)


@pytest.mark.parametrize("bits", [None, 8])
def test_a_file_knows_topologies(tmp_path, bits):
    trigger = by_topology()
    done = export_trigger(trigger, tmp_path / "trigger.onnx", EVENTS, bits=bits)
    keep = decisions(done.path, EVENTS)
    names = trigger.groups_.names
    assert list(done.thresholds) == names
    of = trigger.topology(EVENTS)
    limits = np.array(list(done.thresholds.values()), dtype=np.float32)
    np.testing.assert_array_equal(keep, scores(done.path, EVENTS).astype(np.float32) > limits[of])
    ours = trigger.keeps(EVENTS)
    if bits is None:
        assert (keep != ours).sum() <= 1
        trigger.save(tmp_path / "saved")
        np.testing.assert_array_equal(Trigger.load(tmp_path / "saved").keeps(EVENTS), ours)
    else:
        # As many in each topology.
        counts = [np.bincount(of[k], minlength=len(names)) for k in (keep, ours)]
        assert np.abs(counts[0] - counts[1]).max() <= 1
        assert done.agreement > 0.7
    with pytest.raises(InputError, match="has a threshold for each of"):
        _ = done.threshold


def test_a_score_of_few_bits_is_exported_bit_for_bit(tmp_path):
    """Products and sums of such numbers are exact, in torch and in onnxruntime."""
    training = Training(epochs=1, batch_size=256)
    method = Autoencoder(latent=4, features=COLUMNS, options={"bits": 6}, training=training)
    trigger = Trigger(method, target=0.05, input_rate=1.0)
    trigger.fit(table(stream(2_000, seed=1)), seed=1, progress=False)
    # The file takes float32.
    events = EVENTS.astype(np.float32).astype(np.float64)
    done = export_trigger(trigger, tmp_path / "trigger.onnx", events)
    assert done.agreement == 1
    given = trigger.score(events).astype(np.float32)
    np.testing.assert_array_equal(scores(done.path, events).astype(np.float32), given)
    about = {p.key: p.value for p in onnx.load(done.path).metadata_props}
    assert about["bits"] == "6"
    with pytest.raises(InputError, match="the score has 6 bits of its own already"):
        export_trigger(trigger, tmp_path / "8.onnx", events, bits=8)
    with pytest.raises(InputError, match="with bits 6 is not put in fixed point"):
        trigger.scorer_.in_fixed_point(events, 4)


def test_rounding_after_training_loses_what_training_for_it_does_not(tmp_path):
    floats = fitted().scorer_
    events, few = table(stream(4_000, seed=1)), Training(epochs=2, batch_size=256)
    rounded = floats.in_fixed_point(events, 4)
    trained = floats.in_fixed_point(events, 4, training=few, progress=False)
    score = floats.score(EVENTS)
    off = [np.abs(m.score(EVENTS) - score).mean() for m in (rounded, trained)]
    assert off[1] < off[0]
    # Sixteen bits are floats, nearly.
    assert np.abs(floats.in_fixed_point(events, 16).score(EVENTS) - score).mean() < 0.01 * off[0]
    trained.save(tmp_path / "four")
    again = Autoencoder.load(tmp_path / "four")
    np.testing.assert_array_equal(again.score(EVENTS), trained.score(EVENTS))


def test_what_cannot_be_exported_is_said(tmp_path):
    with pytest.raises(InputError, match=r"10 events of the stream are given .* give about 200"):
        export_trigger(fitted(), tmp_path / "trigger.onnx", EVENTS[:10])
    (tmp_path / "there.onnx").touch()
    with pytest.raises(InputError, match="exists"):
        export_trigger(fitted(), tmp_path / "there.onnx", EVENTS)
    own = by_topology().set_params(own=True)
    with pytest.raises(InputError, match="each topology has a score of its own, and a file holds"):
        export_trigger(own, tmp_path / "own.onnx", EVENTS)
    own.set_params(own=False)
