"""Answers over HTTP and gRPC: those of the local file, whatever the types and the wire."""

import gzip
import json
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from served import TYPES, arrays, ask, binary, jets

RANDOM = np.random.default_rng(3)
VALUES = {name: RANDOM.integers(0, 2, (4, 3)).astype(dtype) for name, (_, dtype) in TYPES.items()}
for name, (_, dtype) in TYPES.items():
    if np.dtype(dtype).kind in "iu":  # the ends of what it holds
        VALUES[name][0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max


def infer(server, body, headers=None, model="jets"):
    return ask(f"{server.url}/v2/models/{model}/infer", body, **(headers or {}))


@pytest.mark.parametrize("compression", ["identity", "gzip", "deflate"])
def test_every_type_comes_back_over_http(server, compression):
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(compression, lambda x: x)
    inputs = {f"in_{name}": (name, values) for name, values in VALUES.items()}
    body, headers = binary(inputs, id="seven")
    status, answer, given = infer(
        server, pack(body), headers | {"Content_Encoding": compression}, "types"
    )
    assert status == 200
    found = arrays(answer, given)
    for name, values in VALUES.items():
        np.testing.assert_array_equal(found[f"out_{name}"], values)
    size = int(given["Inference-Header-Content-Length"])
    said = json.loads(answer[:size])
    assert (said["model_name"], said["model_version"], said["id"]) == ("types", "1", "seven")
    # And as JSON, nested or flat, with one output wanted.
    document = {
        "inputs": [
            {
                "name": f"in_{name}",
                "datatype": name,
                "shape": [4, 3],
                "data": values.tolist() if name < "J" else values.ravel().tolist(),
            }
            for name, values in VALUES.items()
        ],
        "outputs": [{"name": "out_INT64"}, {"name": "out_BOOL"}],
    }
    status, answer, given = infer(
        server, pack(json.dumps(document).encode()), {"Content_Encoding": compression}, "types"
    )
    assert status == 200, answer
    found = arrays(answer, given)
    assert set(found) == {"out_INT64", "out_BOOL"}
    np.testing.assert_array_equal(found["out_INT64"], VALUES["INT64"])


def test_every_type_comes_back_over_grpc(call):
    import grpc

    from colliderkit.serve.inference.datatypes import CONTENTS

    raw = [{"name": f"in_{name}", "datatype": name, "shape": [4, 3]} for name in VALUES]
    blobs = [values.tobytes() for values in VALUES.values()]
    for compression in (None, grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer = call(
            "ModelInfer", model_name="types", inputs=raw, raw_input_contents=blobs, id="7",
            compression=compression,
        )  # fmt: skip
        assert (answer.model_name, answer.model_version, answer.id) == ("types", "1", "7")
        for one, blob in zip(answer.outputs, answer.raw_output_contents, strict=True):
            values = VALUES[one.datatype]
            assert (one.name, list(one.shape)) == (f"out_{one.datatype}", [4, 3])
            np.testing.assert_array_equal(np.frombuffer(blob, values.dtype), values.ravel())
    # As typed contents, which the protocol has for all but FP16.
    typed = [
        one | {"contents": {CONTENTS[n]: VALUES[n].ravel().tolist()}} if n in CONTENTS else one
        for n, one in zip(VALUES, raw, strict=True)
    ]
    typed = [one for one in typed if "contents" in one]
    with pytest.raises(grpc.RpcError) as refused:
        call("ModelInfer", model_name="types", inputs=typed)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    jet = jets(1, 3)[0]
    given = {"name": "constituents", "datatype": "FP32", "shape": jet.shape}
    answer = call(
        "ModelInfer",
        model_name="jets",
        inputs=[given | {"contents": {"fp32_contents": jet.ravel()}}],
    )
    again = call(
        "ModelInfer", model_name="jets", inputs=[given], raw_input_contents=[jet.tobytes()]
    )
    assert answer.raw_output_contents == again.raw_output_contents


def test_jets_of_many_clients_are_answered_as_by_the_file(server, files, call):
    local = onnxruntime.InferenceSession(files / "jets.onnx")
    events = jets(200, 4)

    def over_http(jet):
        body, headers = binary({"constituents": ("FP32", jet)})
        status, answer, given = infer(server, body, headers)
        assert status == 200
        return arrays(answer, given)["probability"]

    def over_grpc(jet):
        tensor = {"name": "constituents", "datatype": "FP32", "shape": jet.shape}
        answer = call(
            "ModelInfer", model_name="jets", inputs=[tensor], raw_input_contents=[jet.tobytes()]
        )
        return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(-1, 2)

    with ThreadPoolExecutor(16) as clients:
        for way in (over_http, over_grpc):
            for jet, found in zip(events, clients.map(way, events), strict=True):
                truth = local.run(None, {"constituents": jet})[0]
                np.testing.assert_allclose(found, truth, atol=1e-6)


def test_a_stream_answers_in_order_and_goes_on_after_an_error(server, call):
    from colliderkit.serve.inference.messages import SERVICE, message_class

    jet = jets(1)[0]
    request, response = (
        message_class("ModelInferRequest"),
        message_class("ModelStreamInferResponse"),
    )

    def requests():
        for i in range(150):
            one = request(model_name="jets" if i != 50 else "none", id=str(i))
            one.inputs.add(name="constituents", datatype="FP32", shape=jet.shape)
            one.raw_input_contents.append(jet.tobytes())
            yield one.SerializeToString()

    stream = call.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
    answers = [response.FromString(one) for one in stream(requests())]
    assert [a.infer_response.id for a in answers] == list(map(str, range(150)))
    assert [i for i, a in enumerate(answers) if a.error_message] == [50]
    assert "'none' is not found" in answers[50].error_message


def test_the_largest_classes_have_their_labels(server, files, call):
    local = onnxruntime.InferenceSession(files / "jets.onnx")
    jet = np.concatenate(jets(3, 5, 20, 20))
    truth = local.run(None, {"constituents": jet})[0]
    document = json.dumps(
        {
            "inputs": [
                {
                    "name": "constituents",
                    "datatype": "FP32",
                    "shape": jet.shape,
                    "data": jet.ravel().tolist(),
                }
            ],
            "outputs": [{"name": "probability", "parameters": {"classification": 2}}],
        }
    )
    (said,) = json.loads(infer(server, document.encode())[1])["outputs"]
    assert (said["datatype"], said["shape"]) == ("BYTES", [3, 2])
    best = truth.argmax(1)
    first = said["data"][::2]
    assert [text.split(":")[1:] for text in first] == [[str(i), ("qcd", "top")[i]] for i in best]
    np.testing.assert_allclose([float(t.split(":")[0]) for t in first], truth.max(1), atol=1e-6)
    answer = call(
        "ModelInfer",
        model_name="jets",
        inputs=[{"name": "constituents", "datatype": "FP32", "shape": jet.shape}],
        raw_input_contents=[jet.tobytes()],
        outputs=[{"name": "probability", "parameters": {"classification": {"int64_param": 1}}}],
    )
    blob = answer.raw_output_contents[0]
    size = int.from_bytes(blob[:4], "little")
    assert blob[4 : 4 + size].decode() == first[0]


def test_a_long_answer_is_compressed_for_who_takes_that(server):
    jet = np.concatenate(jets(100, 5, 20, 20))
    body, headers = binary({"constituents": ("FP32", jet)}, parameters={})
    plain = infer(server, body, headers)
    for kind, unpack in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        _, packed, given = infer(server, body, headers | {"Accept_Encoding": kind})
        assert given["Content-Encoding"] == kind
        assert unpack(packed) == plain[1]


def test_a_jet_without_particles_is_one_of_padding(server, files):
    local = onnxruntime.InferenceSession(files / "jets.onnx")
    body, headers = binary({"constituents": ("FP32", np.zeros((2, 0, 4), np.float32))})
    status, answer, given = infer(server, body, headers)
    assert status == 200
    truth = local.run(None, {"constituents": np.zeros((2, 1, 4), np.float32)})[0]
    np.testing.assert_allclose(arrays(answer, given)["probability"], truth)


def test_the_server_says_what_it_serves(server, call):
    from google.protobuf.json_format import MessageToDict

    def get(path):
        status, body, _ = ask(server.url + path)
        assert status == 200, path
        return json.loads(body) if body else None

    assert get("/v2")["name"] == "colliderkit"
    get("/v2/health/live")
    get("/v2/health/ready")
    get("/v2/models/jets/versions/1/ready")
    about = get("/v2/models/jets")
    assert about["inputs"] == [{"name": "constituents", "datatype": "FP32", "shape": [-1, -1, 4]}]
    assert about["versions"] == ["1"]
    config = get("/v2/models/jets/config")
    assert config["max_batch_size"] == 100
    assert config["input"][0]["dims"] == [-1, 4]
    assert config["input"][0]["allow_ragged_batch"] is True
    assert config["dynamic_batching"]["preferred_batch_size"] == [16]
    other = get("/v2/models/one/config")
    assert (other["max_batch_size"], other["input"][0]["dims"]) == (0, [1, 3])
    assert "dynamic_batching" not in other
    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert call("ModelReady", name="jets").ready
    assert not call("ModelReady", name="none").ready
    assert list(call("ServerMetadata").extensions) == get("/v2")["extensions"]
    assert MessageToDict(call("ModelMetadata", name="jets"))["inputs"][0]["datatype"] == "FP32"
    message = call("ModelConfig", name="jets").config
    assert (message.input[0].data_type, list(message.input[0].dims)) == (11, [-1, 4])
    assert list(message.dynamic_batching.preferred_batch_size) == [16]
    index = json.loads(ask(server.url + "/v2/repository/index", b"")[1])
    assert [one["name"] for one in index] == ["jets", "mean", "one", "place", "types"]
    assert [one.name for one in call("RepositoryIndex").models] == [x["name"] for x in index]


def test_rows_and_runs_are_counted(server, call):
    def stats():
        return json.loads(ask(server.url + "/v2/models/jets/stats")[1])["model_stats"][0]

    before, jet = stats(), np.concatenate(jets(5, 1, 9, 9))
    body, headers = binary({"constituents": ("FP32", jet)})
    infer(server, body, headers)
    infer(server, b"{")
    after = stats()
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 1
    for what in ("success", "fail", "queue"):
        assert after["inference_stats"][what]["count"] - before["inference_stats"][what][
            "count"
        ] == (1)
    said = call("ModelStatistics", name="jets").model_stats[0]
    assert said.inference_count == after["inference_count"]
    assert {b["batch_size"] for b in after["batch_stats"]} >= {5}
    text = ask(server.url + "/metrics")[1].decode()
    count = after["inference_count"]
    assert f'nv_inference_count{{model="jets",version="1"}} {count}.0\n' in text
    assert 'nv_inference_pending_request_count{model="jets",version="1"} 0.0\n' in text
    assert 'nv_inference_request_failure{model="jets",reason="OTHER",version="1"}' in text
