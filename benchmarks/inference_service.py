"""Inference as a service: the real tritonclient, coffea and Triton beside `colliderkit serve`.

    python benchmarks/inference_service.py --peers PEERS

Client and server share the machine; CPU time is that of the server's processes (from /proc), in
turn with Triton's. Triton is that of the wheel nvidia-pytriton, which runs the exported repository
by its python backend: its C++ front end, and onnxruntime called from Python. `--parts` measures
some of the rows and keeps the others.
"""

import gzip
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from colliderkit.events.ragged import Ragged
from colliderkit.methods.method import versions
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.serve.inference.messages import SERVICE, message_class
from colliderkit.serve.load import cpu_of
from colliderkit.serve.onnx import export_method
from colliderkit.serve.remote import RemoteModel
from colliderkit.serve.translation import session
from colliderkit.serve.triton import write_repository
from colliderkit.sources.toys.jets import ragged_jets
from colliderkit.training.settings import Training
from comparison import HERE, RESULTS, Answer, options, row, run, save

PARTS = ("calls", "cpu", "one", "overload", "soak")
NETWORKS = {"pfn": "pfn", "lite": "particle-net-lite"}
JETS = 1_000
LATENCY = 0.5  # s, the server's default target
TYPES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "fp16": "FLOAT16", "fp32": "FLOAT", "fp64": "DOUBLE",
}  # fmt: skip


class Files:
    """The files that are served, and jets with the answers of the file itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        jets = ragged_jets(JETS, seed=2)
        for name, network in NETWORKS.items():
            training = Training(epochs=1, batch_size=100, devices=1)
            tagger = Tagger(network, training=training)
            tagger.fit(ragged_jets(500, seed=1), progress=False)
            export_method(tagger, self.path(name), jets[:256])
            inputs = tagger.inputs(jets)
            assert isinstance(inputs, Ragged)
            running = session(self.path(name).read_bytes(), threads=1)
            ends = (inputs.starts + inputs.lengths).tolist()
            values = [
                inputs.values[a:b].numpy()
                for a, b in zip(inputs.starts.tolist(), ends, strict=True)
            ]
            # Each by itself: batch-mates must not change it.
            truth = [running.run(["probability"], {"constituents": x[None]})[0] for x in values]
            np.savez(
                self.given(name),
                values=np.concatenate(values),
                lengths=np.array([len(x) for x in values]),
                probability=np.concatenate(truth),
            )
        for name, kind in TYPES.items():
            number = getattr(TensorProto, kind)
            taken, made = (
                helper.make_tensor_value_info(f"{end}_{name}", number, ["batch", "n"])
                for end in ("in", "out")
            )
            node = helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"])
            graph = helper.make_graph([node], "types", [taken], [made])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
            model.ir_version = 9
            onnx.save(model, self.path(f"types_{name}"))
        for name in NETWORKS:
            write_repository(self.path(name), folder / "repository", name, backend="python")

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.onnx"

    def given(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


class Up:
    """A server that runs: its process, and its addresses without a scheme."""

    def __init__(self, process: int, http: str, grpc: str) -> None:
        self.process, self.http, self.grpc = process, http, grpc

    def address(self, protocol: str) -> str:
        return self.grpc if protocol == "grpc" else self.http


@contextmanager
def ours(files: Files, *more: str) -> Iterator[Up]:
    """Run `colliderkit serve` on all files."""
    ports = free_ports(2)
    models = [f"{p.stem}={p}" for p in sorted(files.folder.glob("*.onnx"))]
    words = [sys.executable, "-m", "colliderkit.cli", "serve", *models, *more]
    words += ["--http", str(ports[0]), "--grpc", str(ports[1])]
    with running(words, ports[0]) as process:
        yield Up(process, f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}")


@contextmanager
def triton(files: Files, peers: Path) -> Iterator[Up]:
    """Run the real tritonserver on the exported repository."""
    ports = free_ports(3)
    words = [str(peers / "triton" / "bin" / "python"), str(HERE / "peers" / "triton_side.py")]
    words += ["--repository", str(files.folder / "repository")]
    for name, port in zip(("http", "grpc", "metrics"), ports, strict=True):
        words += [f"--{name}", str(port)]
    with running(words, ports[0]) as process:
        yield Up(process, f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}")


@contextmanager
def running(words: list[str], port: int) -> Iterator[int]:
    """Start a server and wait until it is ready."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                if process.poll() is not None:
                    sys.exit(f"{words[1]} ended with {process.returncode}")
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1)
                    break
                except OSError:
                    time.sleep(0.2)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Comparison:
    """What all parts share: the files, where the peers are, and how much is asked."""

    def __init__(self, files: Files, chosen: Any) -> None:
        self.files, self.chosen = files, chosen
        self.shared: dict[str, Any] = {
            "command": f"python benchmarks/inference_service.py --peers PEERS --load {chosen.load}"
            f" --requests {chosen.requests} --malformed {chosen.malformed}"
            f" --seconds {chosen.seconds:g}",
            "versions": versions(),
            "threads": 1,
        }

    def drive(self, up: Up, protocol: str, name: str = "pfn", **given: Any) -> Answer:
        """Load a server by tritonclient; add the server's CPU time, in ms a request."""
        before = cpu_of(up.process)
        answer = run(
            "coffea", "load", self.chosen.peers, given=self.files.given(name), model=name,
            protocol=protocol, address=up.address(protocol), threads=1, **given,
        )  # fmt: skip
        self.shared["versions"] |= answer.pop("versions")
        answer["server_cpu_ms"] = 1e3 * (cpu_of(up.process) - before) / max(answer["answered"], 1)
        return answer

    def row(self, quantity: str, *values: Any, **rest: Any) -> Answer:
        return row(quantity, *values, **rest, **self.shared)


def calls(c: Comparison) -> list[Answer]:
    """Every call of tritonclient, coffea's wrapper, and the repository in the real Triton."""
    with ours(c.files) as up:
        where = {"given": c.files.given("pfn"), "http": up.http, "grpc": up.grpc}
        found = run("coffea", "calls", c.chosen.peers, **where)["calls"]
        by_coffea = run("coffea", "wrapper", c.chosen.peers, **where)
    failed = {name: said for name, said in found.items() if said}
    right, total = len(found) - len(failed), len(found)
    for name, said in failed.items():
        print(f"  NOT right: {name}: {said}", flush=True)
    with triton(c.files, c.chosen.peers) as up:
        loaded = [c.drive(up, p, requests=500, clients=8) for p in ("grpc", "http")]
    worst, lost = max(a["worst"] for a in loaded), sum(a["lost"] for a in loaded)
    return [
        c.row("calls of tritonclient that are answered right", right, total, right / total, None,
              unit="calls", bar=">= 1", failed=failed),
        c.row("coffea's wrapper, largest difference to the file", by_coffea["worst"], 1e-6,
              by_coffea["worst"] / 1e-6, None, unit="", bar="<= 1",
              batch_size=by_coffea["batch_size"]),
        c.row("exported repository in the real Triton, largest difference to the file", worst, 1e-6,
              worst / 1e-6, None, unit="", bar="<= 1", lost=lost, met=worst <= 1e-6 and not lost),
    ]  # fmt: skip


def cpu(c: Comparison) -> list[Answer]:
    """CPU time a request and p99 of 64 clients of one jet, in turn with Triton."""
    rows, spent = [], {}
    bars = {"grpc": "<= 2", "http": "<= 1.2"}
    with ExitStack() as stack:
        servers = {
            "ours": stack.enter_context(ours(c.files)),
            "triton": stack.enter_context(triton(c.files, c.chosen.peers)),
        }
        for name in NETWORKS:
            for protocol, bar in bars.items():
                found: dict[str, list[Answer]] = {"ours": [], "triton": []}
                for _ in range(c.chosen.repetitions):
                    for which, up in servers.items():
                        load = {"requests": c.chosen.load, "clients": 64}
                        found[which].append(c.drive(up, protocol, name, **load))
                one, other = ([a["server_cpu_ms"] for a in found[w]] for w in ("ours", "triton"))
                each = [a / b for a, b in zip(one, other, strict=True)]
                what = f"{protocol}, {name}, 64 clients of one jet"
                late = {w: [a["quantiles_ms"]["answered"][1] for a in found[w]] for w in found}
                wrong = sum(a["wrong"] + a["lost"] for a in found["ours"])
                rows.append(
                    c.row(f"server CPU a request, {what}", median(one), median(other), median(each),
                          deviation(each), unit="ms", bar=bar if name == "pfn" else None,
                          wrong=wrong, each=found),
                )  # fmt: skip
                rows.append(
                    c.row(f"p99, {what}", median(late["ours"]), median(late["triton"]),
                          median(late["ours"]) / 100, deviation(late["ours"], 100),
                          unit="ms", bar="<= 1" if name == "pfn" else None,
                          largest=max(a["quantiles_ms"]["answered"][2] for a in found["ours"])),
                )  # fmt: skip
                spent[protocol, name] = median(one)
        empty = [
            c.drive(servers["ours"], "grpc", requests=c.chosen.load, call="live")["server_cpu_ms"]
            for _ in range(c.chosen.repetitions)
        ]
    ratio = spent["grpc", "pfn"] / median(empty)
    rows.append(
        c.row("server CPU of an empty call of the same gRPC stack, 64 clients", median(empty), None,
              None, deviation(empty), unit="ms", request_over_empty=ratio),
    )  # fmt: skip
    return rows


def one(c: Comparison) -> list[Answer]:
    """Latency of one client, with batching and without."""
    rows = []
    with ours(c.files) as batched, ours(c.files, "--batch", "1") as single:
        for protocol in ("grpc", "http"):
            found: dict[str, list[float]] = {"batched": [], "single": []}
            for _ in range(c.chosen.repetitions):
                for which, up in (("batched", batched), ("single", single)):
                    load = {"requests": c.chosen.load // 4, "clients": 1}
                    answer = c.drive(up, protocol, **load)
                    found[which].append(answer["quantiles_ms"]["answered"][0])
            each = [a / b for a, b in zip(found["batched"], found["single"], strict=True)]
            rows.append(
                c.row(f"latency of one client over that without batching, {protocol}",
                      median(found["batched"]), median(found["single"]), median(each),
                      deviation(each), unit="ms", bar="<= 1.1"),
            )  # fmt: skip
    return rows


def overload(c: Comparison) -> list[Answer]:
    """Four times what a server can do, in requests of 64 jets of ParticleNet-Lite."""
    with ours(c.files) as up:
        able = c.drive(up, "grpc", "lite", requests=max(c.chosen.load // 50, 100), rows=64,
                       clients=8)  # fmt: skip
        rate = 4 * able["answered"] / able["wall_s"]
        before = memory(up.process)
        load = {"rows": 64, "rate": rate, "seconds": c.chosen.seconds, "timeout": 30.0}
        found = c.drive(up, "grpc", "lite", **load)
        after = memory(up.process)
        http = c.drive(up, "http", "lite", **load | {"seconds": c.chosen.seconds / 6})
    answered, refused = (found["quantiles_ms"][name] for name in ("answered", "refused"))
    asked = found["answered"] + found["refused"] + found["lost"]
    over = {"rate": rate, "able": able, "grpc": found, "http": http}
    return [
        c.row("overload x4: requests lost, neither answered nor refused", found["lost"]
              + http["lost"], None, float(found["lost"] + http["lost"]), None, unit="requests",
              bar="<= 0", asked=asked, **over),
        c.row("overload x4: p99 of the answered over the target", answered[1], 1e3 * LATENCY,
              answered[1] / (1e3 * LATENCY), None, unit="ms", bar="<= 1"),
        c.row("overload x4: p99 of a refusal", refused[1], 1e3 * LATENCY,
              refused[1] / (1e3 * LATENCY), None, unit="ms", bar="<= 1"),
        c.row("overload x4: memory after over before", after / 1e6, before / 1e6, after / before,
              None, unit="MB", bar="<= 1.1"),
    ]  # fmt: skip


def soak(c: Comparison) -> list[Answer]:
    """Many requests of 64 clients, two reloads and malformed requests among them."""
    with ours(c.files) as up:
        bad: dict[str, list[str]] = {}
        stop = threading.Event()
        halves = {"grpc": c.chosen.requests // 2, "http": c.chosen.requests // 2}

        def disturb() -> None:
            """Send what no server should answer, and reload twice, spread over the run."""
            kinds = list(malformed(up))
            for i in range(c.chosen.malformed):
                # Of half a millisecond a request; at once when they have ended.
                stop.wait(c.chosen.requests * 0.5e-3 / c.chosen.malformed)
                name, send, right = kinds[i % len(kinds)]
                said = send()
                if not right(said):
                    bad.setdefault(name, []).append(said)
                if i in (c.chosen.malformed // 3, 2 * c.chosen.malformed // 3):
                    os.kill(up.process, signal.SIGHUP)

        thread = threading.Thread(target=disturb)
        thread.start()
        found = {p: c.drive(up, p, requests=n, clients=64) for p, n in halves.items()}
        stop.set()
        thread.join()
        with RemoteModel(f"http://{up.http}/pfn", deadline=10) as remote:
            alive = int(bool(remote.metadata()))
    for name, said in bad.items():
        print(f"  NOT refused as malformed: {name}: {said[0]}", flush=True)
    lost = sum(a["lost"] + a["refused"] for a in found.values())
    wrong = sum(a["wrong"] for a in found.values())
    asked, errors = sum(halves.values()), {p: a["errors"] for p, a in found.items()}
    count = c.chosen.malformed
    refused = count - sum(map(len, bad.values()))
    what = "two reloads and malformed requests among"
    return [
        c.row(f"lost, {what} {asked:,}", lost, None, float(lost), None, unit="requests",
              bar="<= 0", errors=errors),
        c.row(f"wrong, {what} {asked:,}", wrong, None, float(wrong), None, unit="requests",
              bar="<= 0"),
        c.row(f"servers that still answer after {asked:,}", alive, 1, float(alive), None,
              unit="servers", bar=">= 1"),
        c.row("malformed requests that are refused with 4xx or INVALID_ARGUMENT", refused, count,
              refused / max(count, 1), None, unit="requests", bar=">= 1", failed=bad),
    ]  # fmt: skip


def malformed(up: Up) -> Iterator[tuple[str, Callable[[], str], Callable[[str], bool]]]:
    """Yield names of bad requests, what sends one and says what came, and what is right."""
    http = {"Content-Type": "application/json"}
    path = "/v2/models/pfn/infer"

    def body(**change: Any) -> bytes:
        entry: dict[str, Any] = {"name": "constituents", "shape": [1, 2, 4], "datatype": "FP32"}
        return json.dumps({"inputs": [{**entry, "data": [1.0] * 8, **change}]}).encode()

    bomb = gzip.compress(bytes(1 << 28))
    requests: dict[str, tuple[str, bytes, dict[str, str]]] = {
        "shape of 2^40 rows": (path, body(shape=[2**40, 2, 4]), {}),
        "shape whose product overflows": (path, body(shape=[2**62, 2**62, 4]), {}),
        "not JSON": (path, b"{", {}),
        "not UTF-8": (path, b"\xff\xfe{}", {}),
        "deep JSON": (path, b"[" * 100_000, {}),
        "no body": (path, b"", {}),
        "no inputs": (path, b"{}", {}),
        "wrong name": (path, body(name="x"), {}),
        "wrong type": (path, body(datatype="INT64"), {}),
        "type that is none": (path, body(datatype="FP31"), {}),
        "wrong rank": (path, body(shape=[8]), {}),
        "wrong columns": (path, body(shape=[1, 1, 8]), {}),
        "short data": (path, body(data=[1.0] * 7), {}),
        "long data": (path, body(data=[1.0] * 9), {}),
        "text for numbers": (path, body(data=["a"] * 8), {}),
        "negative shape": (path, body(shape=[-1, 2, 4]), {}),
        "no rows": (path, body(shape=[0, 2, 4], data=[]), {}),
        "shape of text": (path, body(shape="abc"), {}),
        "header too long": (path, body(), {"Inference-Header-Content-Length": "99999"}),
        "header negative": (path, body(), {"Inference-Header-Content-Length": "-5"}),
        "header no number": (path, body(), {"Inference-Header-Content-Length": "x"}),
        "binary size beyond the body": (
            path, body(data=None, parameters={"binary_data_size": 1 << 40}),
            {"Inference-Header-Content-Length": str(len(body(
                data=None, parameters={"binary_data_size": 1 << 40})))},
        ),
        "gzip bomb": (path, bomb, {"Content-Encoding": "gzip"}),
        "deflate bomb": (path, zlib.compress(bytes(1 << 28)), {"Content-Encoding": "deflate"}),
        "no gzip": (path, body(), {"Content-Encoding": "gzip"}),
        "unknown encoding": (path, body(), {"Content-Encoding": "x"}),
        "unknown model": ("/v2/models/nobody/infer", body(), {}),
        "unknown version": ("/v2/models/pfn/versions/9/infer", body(), {}),
    }  # fmt: skip

    def post(path: str, content: bytes, head: dict[str, str]) -> str:
        url = f"http://{up.http}{path}"
        request = urllib.request.Request(url, data=content, headers={**http, **head})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return f"{answer.status} {answer.read()[:100]!r}"
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read()[:100]!r}"
        except OSError as error:
            return f"{type(error).__name__} {error}"

    for name, given in requests.items():
        yield name, lambda given=given: post(*given), lambda said: said[:1] == "4"

    import grpc

    asked = message_class("ModelInferRequest")

    def tensor(shape: list[int], blob: bytes, datatype: str = "FP32", **change: Any) -> bytes:
        message = asked(**{"model_name": "pfn", **change})
        message.inputs.add(name="constituents", datatype=datatype, shape=shape)
        message.raw_input_contents.append(blob)
        content: bytes = message.SerializeToString()
        return content

    def call(content: bytes) -> str:
        with grpc.insecure_channel(up.grpc) as channel:
            try:
                channel.unary_unary(f"/{SERVICE}/ModelInfer")(content, timeout=30)
            except grpc.RpcError as error:
                return f"{error.code().name} {error.details()}"[:150]
        return "answered"

    for name, content in {
        "grpc shape of 2^40 rows": tensor([2**40, 2, 4], bytes(32)),
        "grpc short data": tensor([1, 2, 4], bytes(31)),
        "grpc wrong rank": tensor([8], bytes(32)),
        "grpc wrong type": tensor([1, 2, 4], bytes(64), "INT64"),
        "grpc negative shape": tensor([-1, 2, 4], bytes(32)),
        "grpc no inputs": asked(model_name="pfn").SerializeToString(),
    }.items():
        yield (
            name,
            lambda content=content: call(content),
            lambda said: said.startswith("INVALID_ARGUMENT"),
        )
    unknown = tensor([1, 2, 4], bytes(32), model_name="nobody")
    yield "grpc unknown model", lambda: call(unknown), lambda said: said.startswith("NOT_FOUND")


def memory(process: int) -> float:
    """Return the resident memory of a process [bytes]."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024.0 * float(line.split()[1])
    return float("nan")


def median(values: list[float]) -> float:
    return float(statistics.median(values))


def deviation(values: list[float], scale: float = 1.0) -> float | None:
    return float(statistics.stdev(values)) / scale if len(values) > 1 else None


def main() -> None:
    parser = options(__doc__, jets=False)
    parser.set_defaults(threads=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--load", type=int, default=20_000, help="requests of a CPU measurement")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the long run")
    parser.add_argument("--malformed", type=int, default=200, help="among those")
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload")
    chosen = parser.parse_args()
    path = RESULTS / "inference_service.json"
    rows = {part: [] for part in PARTS}
    for line in json.loads(path.read_text()) if path.exists() else []:
        rows[line["part"]].append(line)
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        comparison = Comparison(Files(Path(folder)), chosen)
        for part in chosen.parts:
            print(part, flush=True)
            rows[part] = [line | {"part": part} for line in globals()[part](comparison)]
            save("inference_service", [line for each in rows.values() for line in each])


if __name__ == "__main__":
    main()
