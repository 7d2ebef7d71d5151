"""What the tests of serving share: a small ONNX file of jets, and a server that fails on order."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEADER = "Inference-Header-Content-Length"


def toy(path: Path, seed: int = 0) -> Path:
    """Write a file of the form of a tagger's: `probability` (batch, 2) and `score` (batch,).

    Padding with zeros changes nothing, as it takes a sum over particles of what is odd.
    """
    random = np.random.default_rng(seed)
    weights = {
        "w": random.normal(size=(4, 16)).astype("f4"),
        "v": 0.1 * random.normal(size=(16, 2)).astype("f4"),
        "last": np.array([1]),
    }
    nodes = [
        helper.make_node("MatMul", ["constituents", "w"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("ReduceSum", ["t", "last"], ["s"], keepdims=0),
        helper.make_node("MatMul", ["s", "v"], ["o"]),
        helper.make_node("Softmax", ["o"], ["probability"], axis=-1),
        helper.make_node("ReduceMax", ["o", "last"], ["score"], keepdims=0),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("constituents", kind, ["batch", "length", 4])],
        [
            helper.make_tensor_value_info("probability", kind, ["batch", 2]),
            helper.make_tensor_value_info("score", kind, ["batch"]),
        ],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@contextmanager
def failing(statuses: Sequence[int], retry_after: str = "") -> Iterator[tuple[str, list[int]]]:
    """Serve the sum of ``x`` (batch, n) as ``y``; the first answers have these statuses.

    Yields the address and the statuses that were given.
    """
    given: list[int] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                status = statuses[len(given)] if len(given) < len(statuses) else 200
                given.append(status)
            if status != 200:
                content = json.dumps({"error": "the queue is full."}).encode()
                self.reply(status, content, {"Retry-After": retry_after} if retry_after else {})
                return
            size = int(self.headers[HEADER])
            (asked,) = json.loads(body[:size])["inputs"]
            x = np.frombuffer(body[size:], "<f4").reshape(asked["shape"])
            y = x.sum(1)
            output = {"name": "y", "datatype": "FP32", "shape": list(y.shape), "data": y.tolist()}
            self.reply(200, json.dumps({"outputs": [output]}).encode(), {})

        def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", given
    finally:
        server.shutdown()
        server.server_close()
