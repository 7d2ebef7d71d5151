import numpy as np
import pytest
from onnx import TensorProto

from served import FLOAT, deep_set, identity, node, write


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Small models: of jets, of every type, of rows that depend on each other, of one row."""
    folder = tmp_path_factory.mktemp("models")
    deep_set(folder / "jets.onnx")
    identity(folder / "types.onnx")
    of_rows, of_one = ["n", 3], [1, 3]
    write(
        folder / "mean.onnx",
        [node("ReduceMean", "x axis", "m"), node("Sub", "x m", "y")],
        [("x", FLOAT, of_rows)],
        [("y", FLOAT, of_rows)],
        {"axis": np.array([0])},
    )
    squares = [node("Mul", "x x", "y")]
    write(folder / "one.onnx", squares, [("x", FLOAT, of_one)], [("y", FLOAT, of_one)])
    write(
        folder / "place.onnx",
        [node("Gather", "table i", "y")],
        [("i", TensorProto.INT64, ["n"])],
        [("y", FLOAT, ["n"])],
        {"table": np.arange(5, dtype=np.float32)},
    )
    return folder


@pytest.fixture(scope="session")
def server(files):
    pytest.importorskip("grpc")
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    from colliderkit.serve.inference import Limits, Server

    models = [str(path) for path in sorted(files.glob("*.onnx"))]
    limits = Limits(batch=16, latency=10.0, request_rows=100, longest=200, message=2)
    with Server(models, http=0, grpc=0, limits=limits) as running:
        yield running


@pytest.fixture(scope="session")
def call(server):
    """Call a method of the gRPC server with the fields of its request, or with raw bytes."""
    import grpc

    from colliderkit.serve.inference.messages import SERVICE, message_class

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:

        def called(method, message=b"", compression=None, **fields):
            if fields:
                message = message_class(f"{method}Request")(**fields)
            data = message if isinstance(message, bytes) else message.SerializeToString()
            answered = channel.unary_unary(f"/{SERVICE}/{method}")(data, compression=compression)
            return message_class(f"{method}Response").FromString(answered)

        called.channel = channel
        yield called
