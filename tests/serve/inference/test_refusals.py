"""Requests that cannot be answered: a status and a sentence, and the server goes on."""

import gzip
import json
import socket
import zlib

import numpy as np
import pytest

from served import ask, binary, jets

JET = {"name": "constituents", "shape": [1, 2, 4], "datatype": "FP32", "data": [1.0] * 8}
X = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1.0] * 6}
HEADER = "Inference_Header_Content_Length"


def document(**changed):
    return json.dumps({"inputs": [JET | changed]}).encode()


def whole(**more):
    return json.dumps({"inputs": [JET], **more}).encode()


def raw(size, length=32, **more):
    """A request whose tensor says that it has `size` bytes, with `length` of them."""
    one = {k: v for k, v in JET.items() if k != "data"} | {"parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [one | more]}).encode()
    return head + bytes(length), {HEADER: str(len(head))}


MALFORMED = {
    "no JSON": (b"{", {}),
    "nothing": (b"", {}),
    "no object": (b"[1]", {}),
    "no inputs": (b"{}", {}),
    "inputs of another kind": (b'{"inputs": 3}', {}),
    "an input of another kind": (b'{"inputs": [3]}', {}),
    "no text": (b"\xff\xfe{}", {}),
    "deep": (b"[" * 200_000, {}),
    "a long number": (document(data=[1]).replace(b"[1]", b"[" + b"9" * 5000 + b"]"), {}),
    "another name": (document(name="x"), {}),
    "a name of another kind": (document(name=3), {}),
    "another type": (document(datatype="INT64"), {}),
    "an unknown type": (document(datatype="FLOAT"), {}),
    "another rank": (document(shape=[8]), {}),
    "other columns": (document(shape=[1, 1, 8]), {}),
    "few data": (document(data=[1.0] * 7), {}),
    "many data": (document(data=[1.0] * 9), {}),
    "no data": (document(data=None), {}),
    "uneven data": (document(data=[[1.0], [1.0, 2.0]]), {}),
    "texts": (document(data=["1"] * 8), {}),
    "nulls": (document(data=[None] * 8), {}),
    "truths": (document(data=[True] * 8), {}),
    "objects": (document(data=[{}] * 8), {}),
    "a negative shape": (document(shape=[-1, 2, 4]), {}),
    "two negatives": (document(shape=[1, -2, -4]), {}),
    "no rows": (document(shape=[0, 2, 4], data=[]), {}),
    "a huge shape": (document(shape=[2**40, 2, 4]), {}),
    "an endless shape": (document(shape=[2**64, 2**64, 4]), {}),
    "a long jet": (document(shape=[1, 2**31, 4]), {}),
    "a shape of floats": (document(shape=[1.0, 2, 4]), {}),
    "a shape of truths": (document(shape=[True, 2, 4]), {}),
    "no shape": (document(shape=None), {}),
    "too many rows": (document(shape=[101, 1, 4], data=[1.0] * 404), {}),
    "given twice": (json.dumps({"inputs": [JET, JET]}).encode(), {}),
    "an output that is not": (whole(outputs=[{"name": "y"}]), {}),
    "an output twice": (whole(outputs=[{"name": "probability"}] * 2), {}),
    "an output without name": (whole(outputs=[{}]), {}),
    "classes of another kind": (
        whole(outputs=[{"name": "probability", "parameters": {"classification": "a"}}]),
        {},
    ),
    "a timeout of another kind": (whole(parameters={"timeout": -1}), {}),
    "parameters of another kind": (whole(parameters=3), {}),
    "an id of another kind": (whole(id=3), {}),
    "a long header": (document(), {HEADER: "99999"}),
    "a header of many digits": (document(), {HEADER: "9" * 5000}),
    "a negative header": (document(), {HEADER: "-1"}),
    "a header of zero": (document(), {HEADER: "0"}),
    "a header that is no number": (document(), {HEADER: "x"}),
    "a short header": (document(), {HEADER: "5"}),
    "more bytes than there are": raw(64),
    "fewer bytes than the shape": raw(16, 16),
    "bytes that are left": raw(32, 40),
    "bytes of another kind": raw("32"),
    "negative bytes": raw(-32),
    "bytes and data": raw(32, data=[1.0] * 8),
    "no gzip": (b"garbage", {"Content_Encoding": "gzip"}),
    "a gzip that is cut": (gzip.compress(document())[:-12], {"Content_Encoding": "gzip"}),
}


def test_a_body_in_another_encoding(server):
    url = f"{server.url}/v2/models/jets/infer"
    for encoding in ("x", "gzip, gzip"):
        assert ask(url, document(), Content_Encoding=encoding)[0] == 415
    assert ask(url, document(), Content_Encoding="br")[0] in (400, 415)  # as aiohttp can or not


def test_a_body_that_cannot_be_read_ends_its_connection(server):
    """Or the next request of a client that keeps connections would be lost."""
    url = f"{server.url}/v2/models/jets/infer"
    with socket.create_connection(("127.0.0.1", server.http)) as client:
        head = f"POST {url} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n"
        client.sendall(head.encode() + b"\r\ngarbage")
        answer = client.recv(10_000).decode().lower()
    assert answer.startswith("http/1.1 400")
    assert "connection: close" in answer


def still_answers(server):
    body, headers = binary({"constituents": ("FP32", jets(1)[0])})
    return ask(f"{server.url}/v2/models/jets/infer", body, **headers)[0] == 200


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_told_why(server, name):
    body, headers = MALFORMED[name]
    status, answer, _ = ask(f"{server.url}/v2/models/jets/infer", body, **headers)
    assert status == 400, answer
    said = json.loads(answer)["error"]
    assert 10 < len(said) < 400
    assert "\n" not in said
    assert "Traceback" not in said
    assert still_answers(server)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/none/infer", 404),
        ("/v2/models/jets/versions/9/infer", 404),
        ("/v2/models/jets/versions/x/infer", 404),
        ("/v2/models/jets/versions/" + "9" * 5000 + "/infer", 404),
        ("/v2/models/%ff%00/infer", 404),
        ("/nothing", 404),
        ("/v2/repository/models/jets/load", 501),
        ("/v2/repository/models/jets/unload", 501),
        ("/v2/systemsharedmemory/region/a/register", 501),
        ("/v2/cudasharedmemory/status", 501),
        ("/v2/trace/setting", 501),
        ("/v2/logging", 501),
    ],
)
def test_what_is_not_there_and_what_is_not_offered(server, path, status):
    found, answer, _ = ask(server.url + path, document())
    assert found == status
    assert json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("parameters", "of_input"),
    [
        ({"sequence_id": 3, "sequence_start": True}, {}),
        ({"sequence_id": "a"}, {}),
        ({"priority": 1}, {}),
        ({}, {"shared_memory_region": "r", "shared_memory_byte_size": 32}),
    ],
)
def test_extensions_that_are_not_offered(server, call, parameters, of_input):
    import grpc

    body = json.dumps(
        {"inputs": [JET | {"parameters": of_input}], "parameters": parameters}
    ).encode()
    status, answer, _ = ask(f"{server.url}/v2/models/jets/infer", body)
    assert status == 501
    assert " here; " in json.loads(answer)["error"]
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}

    def choices(values):
        return {key: {kinds[type(value)]: value} for key, value in values.items()}

    tensor = {"name": "constituents", "datatype": "FP32", "shape": [1, 2, 4]}
    with pytest.raises(grpc.RpcError) as refused:
        call(
            "ModelInfer",
            model_name="jets",
            inputs=[tensor | {"parameters": choices(of_input)}],
            raw_input_contents=[bytes(32)],
            parameters=choices(parameters),
        )
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_calls_that_are_not_offered(call):
    import grpc

    from colliderkit.serve.inference.grpc import NOT_OFFERED
    from colliderkit.serve.inference.messages import SERVICE

    for name in (*NOT_OFFERED, "Unheard"):
        with pytest.raises(grpc.RpcError) as refused:
            call.channel.unary_unary(f"/{SERVICE}/{name}")(b"")
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert refused.value.details()


TENSOR = {"name": "constituents", "datatype": "FP32", "shape": [1, 2, 4]}
OVER_GRPC = {
    "no inputs": {},
    "another name": {"inputs": [TENSOR | {"name": "x"}], "raw_input_contents": [bytes(32)]},
    "another type": {"inputs": [TENSOR | {"datatype": "INT64"}], "raw_input_contents": [bytes(64)]},
    "another rank": {"inputs": [TENSOR | {"shape": [8]}], "raw_input_contents": [bytes(32)]},
    "few bytes": {"inputs": [TENSOR], "raw_input_contents": [bytes(31)]},
    "no bytes": {"inputs": [TENSOR]},
    "huge": {"inputs": [TENSOR | {"shape": [2**40, 2, 4]}], "raw_input_contents": [bytes(32)]},
    "product of zero": {
        "inputs": [TENSOR | {"shape": [1, 2**62, 4]}], "raw_input_contents": [b""]
    },
    "negative": {"inputs": [TENSOR | {"shape": [-1, 2, 4]}], "raw_input_contents": [bytes(32)]},
    "twice": {"inputs": [TENSOR, TENSOR], "raw_input_contents": [bytes(32), bytes(32)]},
    "one raw of two": {"inputs": [TENSOR, TENSOR], "raw_input_contents": [bytes(32)]},
    "raw and contents": {
        "inputs": [TENSOR | {"contents": {"fp32_contents": [1.0] * 8}}],
        "raw_input_contents": [bytes(32)],
    },
    "contents of another type": {
        "inputs": [TENSOR | {"contents": {"int64_contents": [1] * 8}}]
    },
    "an output that is not": {
        "inputs": [TENSOR], "raw_input_contents": [bytes(32)], "outputs": [{"name": "y"}]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OVER_GRPC)
def test_a_malformed_message_is_told_why(server, call, name):
    import grpc

    with pytest.raises(grpc.RpcError) as refused:
        call("ModelInfer", model_name="jets", **OVER_GRPC[name])
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert 10 < len(refused.value.details()) < 400
    assert still_answers(server)


@pytest.mark.parametrize(
    "message", [b"\xff\xff", b"\x1f\x8b\x00", b"\x78\x9c", b"\x0a\x05ab", b"\x78\x9cjunk"]
)
def test_bytes_that_are_no_message(server, call, message):
    import grpc

    with pytest.raises(grpc.RpcError) as refused:
        call("ModelInfer", message)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert still_answers(server)


def test_compressed_bombs_are_not_unpacked(server, call):
    import grpc
    import psutil

    process = psutil.Process()
    packed = gzip.compress(bytes(64 << 20), 1), zlib.compress(bytes(64 << 20), 1)
    before = process.memory_info().rss
    for bomb, kind in zip(packed, ("gzip", "deflate"), strict=True):
        status, answer, _ = ask(f"{server.url}/v2/models/jets/infer", bomb, Content_Encoding=kind)
        assert (status, "after decompression" in json.loads(answer)["error"]) == (413, True)
        # The server's limit is 2 MB, and what it gets is packed already.
        with pytest.raises(grpc.RpcError) as refused:
            call("ModelInfer", bomb)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "2 MB at most" in refused.value.details()
    assert process.memory_info().rss - before < 30 << 20
    assert still_answers(server)


def test_a_request_larger_than_the_limit(server, call):
    import grpc

    body = bytes(3 << 20)
    assert ask(f"{server.url}/v2/models/jets/infer", body)[0] == 413
    with pytest.raises(grpc.RpcError) as refused:
        call("ModelInfer", model_name="jets", inputs=[TENSOR], raw_input_contents=[body])
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # said by gRPC itself


def test_numbers_that_a_type_does_not_hold(server):
    for datatype, value in (("INT8", 128), ("UINT8", -1), ("INT64", 2**63), ("INT64", 1.5)):
        one = {"name": "i", "shape": [1], "datatype": datatype, "data": [value]}
        body = json.dumps({"inputs": [one]}).encode()
        assert ask(f"{server.url}/v2/models/place/infer", body)[0] == 400
    one = {"name": "i", "shape": [1], "datatype": "INT64", "data": [99]}
    status, answer, _ = ask(
        f"{server.url}/v2/models/place/infer", json.dumps({"inputs": [one]}).encode()
    )
    assert (status, "does not run on this" in json.loads(answer)["error"]) == (400, True)


def test_a_model_of_one_row_takes_one(server):
    def status(shape):
        one = X | {"shape": shape, "data": [2.0] * int(np.prod(shape))}
        body = json.dumps({"inputs": [one]}).encode()
        return ask(f"{server.url}/v2/models/one/infer", body)[0]

    assert [status([1, 3]), status([2, 3]), status([3])] == [200, 400, 400]


def test_a_sender_that_goes_away_harms_nobody(server):
    body, _ = binary({"constituents": ("FP32", jets(1)[0])})
    head = f"POST /v2/models/jets/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    for sent in (b"POST", head.encode(), head.encode() + body[:20], b"\x16\x03\x01" * 9):
        with socket.create_connection(("127.0.0.1", server.http)) as client:
            client.sendall(sent)
        with socket.create_connection(("127.0.0.1", server.grpc)) as client:
            client.sendall(sent)
    assert still_answers(server)
