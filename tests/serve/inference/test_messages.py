"""The messages of the protocol, byte by byte."""

import pytest

pytest.importorskip("google.protobuf")
from google.protobuf import text_format

from colliderkit.serve.inference.messages import MESSAGES, message_class


def test_a_request_has_the_bytes_of_the_public_protocol():
    request = message_class("ModelInferRequest")(model_name="m", id="7")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    tensor.contents.fp32_contents.append(1.0)
    request.raw_input_contents.append(b"ab")
    request.outputs.add(name="y")
    assert request.SerializeToString() == (
        b"\x0a\x01m"  # field 1, a text
        b"\x1a\x017"  # field 3
        b"\x2a\x15\x0a\x01x\x12\x04FP32\x1a\x02\x01\x02"  # field 5: name, datatype, shape
        b"\x2a\x06\x32\x04\x00\x00\x80\x3f"  # its field 5, contents: field 6, packed floats
        b"\x32\x03\x0a\x01y"  # field 6
        b"\x3a\x02ab"  # field 7
    )


def test_parameters_are_a_map_of_a_choice():
    request = message_class("ModelInferRequest")()
    request.parameters["timeout"].int64_param = 5
    assert request.SerializeToString() == b"\x22\x0d\x0a\x07timeout\x12\x02\x10\x05"
    request.parameters["timeout"].bool_param = True
    assert request.parameters["timeout"].WhichOneof("choice") == "bool_param"


def test_a_configuration_is_read_and_written_as_text():
    config = message_class("ModelConfig")
    text = """
    name: "pfn" backend: "onnxruntime" max_batch_size: 64
    input { name: "constituents" data_type: TYPE_FP32 dims: [-1, 4] }
    output { name: "log_ratio" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }
    instance_group { kind: KIND_GPU }
    dynamic_batching { preferred_batch_size: 64 default_queue_policy { max_queue_size: 9 } }
    """
    read = text_format.Parse(text, config())
    assert (read.input[0].data_type, list(read.input[0].dims)) == (11, [-1, 4])
    assert read.instance_group[0].kind == 1
    # Numbers of the fields on the wire: dynamic_batching is 11, backend 17.
    assert config.DESCRIPTOR.fields_by_name["dynamic_batching"].number == 11
    assert b"\x8a\x01\x0bonnxruntime" in read.SerializeToString()
    assert text_format.Parse(text_format.MessageToString(read), config()) == read


def test_every_message_of_the_table_is_a_class():
    names = [line.partition(":")[0].strip() for line in MESSAGES.splitlines()]
    for name in (name for name in names if name[:1].isalpha()):
        kind = message_class(name)
        assert kind.FromString(kind().SerializeToString()) == kind()
