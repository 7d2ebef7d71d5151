"""Model repository of Triton: its configuration, by the field table of the server's messages."""

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper

from asked import toy
from colliderkit.errors import InputError
from colliderkit.serve.inference.messages import message_class
from colliderkit.serve.triton import write_repository


def configuration(folder):
    """Parse config.pbtxt as Triton does: a field that it does not know is an error."""
    config = message_class("ModelConfig")()
    return text_format.Parse((folder / "config.pbtxt").read_text(), config)


@pytest.mark.parametrize("backend", ["onnxruntime", "python"])
def test_a_repository_says_what_the_file_takes_and_batches(backend, tmp_path):
    file = toy(tmp_path / "toy.onnx")
    folder = write_repository(file, tmp_path / "repository", "toy", backend=backend)
    config = configuration(folder)
    assert (config.name, config.backend, config.max_batch_size) == ("toy", backend, 64)
    (taken,) = config.input
    # No axis for the batch, and -1 for the number of particles.
    assert (taken.name, list(taken.dims)) == ("constituents", [-1, 4])
    assert taken.allow_ragged_batch == (backend == "python")
    assert message_class("ModelInput").DESCRIPTOR.fields_by_name["data_type"].enum_type.values[
        taken.data_type
    ].name == "TYPE_FP32"  # fmt: skip
    given = {output.name: output for output in config.output}
    assert list(given["probability"].dims) == [2]
    # A number an event, (batch,), is [1] to Triton, and [] to the file.
    assert list(given["score"].dims) == [1]
    assert given["score"].HasField("reshape")
    assert list(given["score"].reshape.shape) == []
    assert list(config.dynamic_batching.preferred_batch_size) == [64]
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    assert [group.count for group in config.instance_group] == [1]
    assert (folder / "1" / "model.onnx").read_bytes() == file.read_bytes()
    assert (folder / "1" / "model.py").exists() == (backend == "python")


def test_the_model_of_the_python_backend_pads_and_parts_requests(tmp_path, monkeypatch):
    """Without Triton: its module of three names, made here."""
    import sys
    from types import SimpleNamespace

    import onnxruntime

    def tensor(name, values):
        return SimpleNamespace(name=name, as_numpy=lambda: values)

    triton = SimpleNamespace(
        Tensor=tensor,
        InferenceResponse=lambda tensors: tensors,
        get_input_tensor_by_name=lambda request, name: request[name],
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)
    file = toy(tmp_path / "toy.onnx")
    folder = write_repository(file, tmp_path, "model", backend="python")
    names = {}
    exec((folder / "1" / "model.py").read_text(), names)
    model = names["TritonPythonModel"]()
    model.initialize({"model_repository": str(folder), "model_version": "1"})
    random = np.random.default_rng(0)
    jets = [random.normal(size=(n, length, 4)).astype("f4") for n, length in ((1, 5), (3, 9))]
    answers = model.execute([{"constituents": tensor("constituents", x)} for x in jets])
    session = onnxruntime.InferenceSession(file)
    for x, answer in zip(jets, answers, strict=True):
        assert [t.name for t in answer] == ["probability", "score"]
        ours = session.run(None, {"constituents": x})
        for t, values in zip(answer, ours, strict=True):
            np.testing.assert_allclose(t.as_numpy(), values, atol=1e-6)


def test_what_triton_cannot_serve_is_refused(tmp_path):
    def model(kind, shape):
        x, y = (helper.make_tensor_value_info(name, kind, shape) for name in "xy")
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
        onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
        return tmp_path / "m.onnx"

    for kind, shape, said in (
        (TensorProto.COMPLEX64, ["batch", 2], "'x' is COMPLEX64"),
        (TensorProto.FLOAT, [3, 2], "no free first axis"),
    ):
        with pytest.raises(InputError, match=said):
            write_repository(model(kind, shape), tmp_path / "repository", "m")
        assert not (tmp_path / "repository").exists()


def test_a_model_that_is_there_stays(tmp_path):
    file = toy(tmp_path / "toy.onnx")
    folder = write_repository(file, tmp_path, "toy")
    (folder / "mine").write_text("")
    with pytest.raises(InputError, match="force"):
        write_repository(file, tmp_path, "toy")
    assert (folder / "mine").exists()
    write_repository(file, tmp_path, "toy", force=True)
    assert not (folder / "mine").exists()
