"""Client of a KServe v2 inference server, Triton's or ours: asynchronous, bounded, with retries."""

import asyncio
import itertools
import json
import random
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.serve.inference.datatypes import NUMPY
from colliderkit.serve.inference.messages import SERVICE, message_class
from colliderkit.serve.translation import session

__all__ = ["RemoteModel", "Unavailable"]

Arrays = Mapping[str, NDArray[Any]]
Answer = dict[str, NDArray[Any]]
SCHEMES = ("http", "https", "grpc", "grpcs")
FIRST, LONGEST = 0.05, 5.0  # seconds until the first retry, and between two at most
LARGEST = 1 << 26  # bytes of a message
NAMES = {kind: name for name, kind in NUMPY.items()}
HEADER = "Inference-Header-Content-Length"


class Unavailable(InputError):
    """No server answered in time; the same request may be answered later, or elsewhere."""


class Busy(Exception):
    """A server does not answer now; `after` are the seconds that it asks to wait."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class RemoteModel:
    """Answer arrays by a model on a KServe v2 server, as its ONNX file would here.

        with RemoteModel("grpc://localhost:8001/tagger", fallback="tagger.onnx") as tagger:
            (probability,) = tagger.run(["probability"], {"constituents": jets})

    `run` is called as that of an onnxruntime session; `submit` returns at once, with a future, so
    that an event loop goes on while the server works. Requests that a server refuses because it is
    busy, or that do not reach one, are repeated until the `deadline`, each time after twice as
    long, times a random factor of .5 to 1.5 so that clients do not return together, and never
    before a server's Retry-After has passed. What no server answers by then the local file answers.

    Args:
        server: where the model is: ``grpc://host:port`` or ``http://host:port`` (``grpcs`` and
            ``https`` encrypted), with ``/model`` or ``/model/version`` behind if not given by
            `model`. Of several servers, each takes its turn.
        model: its name on the server.
        rows: of a request; `run` asks for more in several.
        in_flight: requests at a time; `submit` waits while there are as many.
        deadline: seconds until a request is given up, its repetitions included.
        fallback: an ONNX file, asked when no server answers.

    `where` names server and model; `sent` and `received` are bytes of all requests and answers,
    `requests` and `repeated` their numbers, and `local` the rows that the file has answered.
    Raises `InputError` for an address that is none and for what a server refuses for another
    reason than being busy, and `Unavailable` where there is no `fallback`.
    """

    def __init__(
        self,
        server: str | Sequence[str],
        model: str | None = None,
        *,
        rows: int = 64,
        in_flight: int = 16,
        deadline: float = 60.0,
        fallback: str | Path | None = None,
    ) -> None:
        for name, value in {"rows": rows, "in_flight": in_flight, "deadline": deadline}.items():
            if not value > 0:
                raise InputError(f"{name} is {value}; it must be positive.")
        addresses = [server] if isinstance(server, str) else list(server)
        if not addresses:
            raise InputError("server names none; give grpc://host:port or http://host:port.")
        self.rows, self.deadline = rows, deadline
        self.sent = self.received = self.requests = self.repeated = self.local = 0
        self._servers = [_opened(address, model) for address in addresses]
        self._turns = itertools.cycle(range(len(self._servers)))
        self._file = None if fallback is None else session(_content(fallback), threads=1)
        self.where = f"{self._servers[0].where}/{self._servers[0].model}"
        self._down_until = 0.0
        self._room = threading.BoundedSemaphore(in_flight)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections; requests under way are cancelled."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._closed(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def metadata(self) -> dict[str, Any]:
        """Return what a server says of the model: its inputs and outputs, their types and shapes.

        Each server is asked once: raises `Unavailable` where none answers.
        """

        async def ask() -> dict[str, Any]:
            for server in self._servers:
                try:
                    return await server.metadata(min(self.deadline, 10.0))
                except Busy as error:
                    reason = f"{server.where}: {error}"
            raise Unavailable(f"{reason}; check the address, and that a server runs.")

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    def submit(self, feed: Arrays) -> Future[Answer]:
        """Ask for one batch, arrays (B, ...) by the names of the inputs; return at once.

        The future has arrays (B, ...) by the names of the outputs. Waits while `in_flight` requests
        are under way.
        """
        self._room.acquire()
        future = asyncio.run_coroutine_threadsafe(self._answer(feed), self._loop)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def run(self, names: Sequence[str] | None, feed: Arrays) -> list[NDArray[Any]]:
        """Return the outputs of these names, or all, of arrays (N, ...) of any number of rows."""
        count = len(next(iter(feed.values())))
        pieces = [slice(i, i + self.rows) for i in range(0, max(count, 1), self.rows)]
        asked = [self.submit({name: x[piece] for name, x in feed.items()}) for piece in pieces]
        answers = [future.result() for future in asked]
        return [np.concatenate([a[name] for a in answers]) for name in names or answers[0]]

    async def _answer(self, feed: Arrays) -> Answer:
        try:
            return await self._ask(feed)
        except Unavailable as error:
            if self._file is None:
                raise
            if not self.local:
                warnings.warn(f"{error} The local file answers instead", stacklevel=2)
        self.local += len(next(iter(feed.values())))
        names = [output.name for output in self._file.get_outputs()]
        outputs = await self._loop.run_in_executor(None, self._file.run, names, dict(feed))
        return dict(zip(names, outputs, strict=True))

    async def _ask(self, feed: Arrays) -> Answer:
        """Ask the servers in turn until one answers, or the deadline is near."""
        end = time.monotonic() + self.deadline
        if self._file is not None and time.monotonic() < self._down_until:
            raise Unavailable("no server has answered of late.")
        for attempt in itertools.count():
            server = self._next()
            await asyncio.sleep(max(0.0, server.rest_until - time.monotonic()))
            try:
                answer, sent, received = await server.infer(feed, end - time.monotonic())
            except Busy as error:
                now = time.monotonic()
                wait = min(FIRST * 2**attempt, LONGEST) * random.uniform(0.5, 1.5)
                server.rest_until = now + max(wait, error.after)
                if min(s.rest_until for s in self._servers) >= end or now >= end:
                    self._down_until = now + self.deadline
                    raise Unavailable(
                        f"{server.where}: no answer within {self.deadline:g} s ({error})."
                    ) from error
                self.repeated += 1
                continue
            self.requests += 1
            self.sent += sent
            self.received += received
            return answer
        raise AssertionError

    def _next(self) -> "Server":
        """Return the server whose turn it is, of those that can be asked first."""
        first, now = next(self._turns), time.monotonic()
        turns = [*self._servers[first:], *self._servers[:first]]
        return min(turns, key=lambda server: max(server.rest_until, now))

    async def _closed(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for server in self._servers:
            await server.close()


class Server(Protocol):
    """One address of a model: what of the protocol a client needs."""

    where: str
    model: str
    rest_until: float  # of time.monotonic: when it can be asked again

    async def infer(self, feed: Arrays, timeout: float) -> tuple[Answer, int, int]:
        """Return the answer and the bytes sent and received; raise `Busy` if there is none now."""

    async def metadata(self, timeout: float) -> dict[str, Any]:
        """Return inputs and outputs of the model."""

    async def close(self) -> None:
        """End the connections."""


@dataclass
class HttpServer:
    """Speak the protocol over HTTP, its numbers in binary."""

    where: str
    model: str
    version: str
    rest_until: float = 0.0
    session: Any = None

    async def infer(self, feed: Arrays, timeout: float) -> tuple[Answer, int, int]:
        inputs, blobs = [], []
        for name, values in feed.items():
            datatype, shape, blob = _on_wire(name, values)
            size = {"binary_data_size": len(blob)}
            entry = {"name": name, "datatype": datatype, "shape": shape, "parameters": size}
            inputs.append(entry)
            blobs.append(blob)
        asked = {"inputs": inputs, "parameters": {"binary_data_output": True}}
        head = json.dumps(asked).encode()
        body = b"".join([head, *blobs])
        content, headers = await self._call("POST", "/infer", timeout, body, len(head))
        end = int(headers.get(HEADER, len(content)))
        answer: Answer = {}
        at = end
        for output in json.loads(content[:end])["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            kind, shape = NUMPY[output["datatype"]], output["shape"]
            if size is None:
                answer[output["name"]] = np.asarray(output["data"], dtype=kind).reshape(shape)
            else:
                answer[output["name"]] = np.frombuffer(content[at : at + size], kind).reshape(shape)
                at += size
        return answer, len(body), len(content)

    async def metadata(self, timeout: float) -> dict[str, Any]:
        content, _ = await self._call("GET", "", timeout)
        described: dict[str, Any] = json.loads(content)
        return described

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()

    async def _call(
        self, verb: str, what: str, timeout: float, body: bytes = b"", head: int = 0
    ) -> tuple[bytes, Mapping[str, str]]:
        import aiohttp

        if self.session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self.session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        version = f"/versions/{self.version}" if self.version else ""
        path = f"{self.where}/v2/models/{self.model}{version}{what}"
        limit = aiohttp.ClientTimeout(total=max(timeout, 1e-3))
        headers = {HEADER: str(head)} if head else {}
        try:
            async with self.session.request(
                verb, path, data=body or None, headers=headers, timeout=limit
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Busy(str(error) or "no answer") from error
        if response.status in (429, 502, 503, 504):
            after = response.headers.get("Retry-After", "")
            reason = f"status {response.status}: {_sentence(content)}"
            raise Busy(reason, float(after) if after.isdecimal() else 0.0)
        if response.status >= 400:
            raise InputError(f"{path}: refused with {response.status}: {_sentence(content)}.")
        return content, response.headers


@dataclass
class GrpcServer:
    """Speak the protocol over gRPC."""

    where: str
    model: str
    version: str
    secure: bool
    rest_until: float = 0.0
    channel: Any = None
    calls: dict[str, Callable[..., Awaitable[Any]]] = field(default_factory=dict)

    async def infer(self, feed: Arrays, timeout: float) -> tuple[Answer, int, int]:
        asked = message_class("ModelInferRequest")(
            model_name=self.model, model_version=self.version
        )
        for name, values in feed.items():
            datatype, shape, blob = _on_wire(name, values)
            asked.inputs.add(name=name, datatype=datatype, shape=shape)
            asked.raw_input_contents.append(blob)
        given = await self._call("ModelInfer", asked, timeout)
        answer = {
            output.name: np.frombuffer(blob, NUMPY[output.datatype]).reshape(output.shape)
            for output, blob in zip(given.outputs, given.raw_output_contents, strict=True)
        }
        return answer, asked.ByteSize(), given.ByteSize()

    async def metadata(self, timeout: float) -> dict[str, Any]:
        asked = message_class("ModelMetadataRequest")(name=self.model, version=self.version)
        given = await self._call("ModelMetadata", asked, timeout)
        tensors = {
            what: [
                {"name": t.name, "datatype": t.datatype, "shape": list(t.shape)}
                for t in getattr(given, what)
            ]
            for what in ("inputs", "outputs")
        }
        return {"name": given.name, "versions": list(given.versions), **tensors}

    async def close(self) -> None:
        if self.channel is not None:
            await self.channel.close()

    async def _call(self, name: str, asked: Any, timeout: float) -> Any:
        import grpc

        if self.channel is None:
            sizes = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
            options = [(size, LARGEST) for size in sizes]
            place = self.where.partition("://")[2]
            self.channel = (
                grpc.aio.secure_channel(place, grpc.ssl_channel_credentials(), options)
                if self.secure
                else grpc.aio.insecure_channel(place, options)
            )
        if name not in self.calls:
            self.calls[name] = self.channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_class(f"{name}Response").FromString,
            )
        try:
            return await self.calls[name](asked, timeout=max(timeout, 1e-3))
        except grpc.aio.AioRpcError as error:
            codes = grpc.StatusCode
            late = (codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED, codes.DEADLINE_EXCEEDED)
            sentence = " ".join((error.details() or error.code().name).split()).rstrip(".")
            if error.code() in late:
                metadata = dict(error.trailing_metadata() or ())
                after = str(metadata.get("retry-after", ""))
                raise Busy(sentence, float(after) if after.isdecimal() else 0.0) from error
            where = f"{self.where}/{self.model}"
            raise InputError(f"{where}: refused with {error.code().name}: {sentence}.") from error


def _opened(address: str, model: str | None) -> Server:
    """Return the server of an address; raise `InputError` where it names no server or model."""
    parts = urlsplit(address.removeprefix("triton+"))
    if parts.scheme not in SCHEMES or not parts.hostname or not _has_port(parts):
        raise InputError(
            f"server is '{address}'; write grpc://host:port or http://host:port, with /model behind"
            " if it has another name there."
        )
    _need(parts.scheme.removesuffix("s"))
    name, _, version = parts.path.strip("/").partition("/")
    if not (name := name or model or ""):
        raise InputError(f"server '{address}' has no model; write its name behind, as /tagger.")
    where = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme in ("grpc", "grpcs"):
        return GrpcServer(where, name, version, secure=parts.scheme == "grpcs")
    return HttpServer(where, name, version)


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port is not None or parts.scheme in ("http", "https")
    except ValueError:  # beyond 65535
        return False


def _need(scheme: str) -> None:
    """Raise `InputError` where the package that speaks a protocol is not installed."""
    from importlib.util import find_spec

    package, name = ("grpc", "grpcio") if scheme == "grpc" else ("aiohttp", "aiohttp")
    if find_spec(package) is None:
        raise InputError(f"{name} is not installed; run: pip install 'colliderkit[serve]'.")


def _content(path: str | Path) -> bytes:
    return existing_file(path).read_bytes()


def _on_wire(name: str, values: NDArray[Any]) -> tuple[str, list[int], bytes]:
    """Return type, shape and bytes of an array."""
    if (datatype := NAMES.get(values.dtype)) is None:
        raise InputError(f"input '{name}' is {values.dtype}; the protocol has no such type.")
    return datatype, list(values.shape), np.ascontiguousarray(values).tobytes()


def _sentence(content: bytes) -> str:
    """Return the error of an answer, of ours and Triton's in JSON, of a proxy perhaps not."""
    try:
        text = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        text = content[:200].decode(errors="replace")
    return " ".join(text.split()).rstrip(".") or "no reason given"
