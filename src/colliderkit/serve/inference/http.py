"""Answer KServe v2 over HTTP, with JSON and binary tensors."""

import asyncio
import gzip
import json
import logging
import time
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np
from aiohttp import web

from colliderkit.serve.inference.datatypes import BYTES, NUMPY, joined
from colliderkit.serve.inference.refusals import Reason, Refusal
from colliderkit.serve.inference.requests import Given, classified, malformed, refuse_extensions
from colliderkit.serve.inference.service import Service, Wanted
from colliderkit.serve.inference.statistics import exposition

__all__ = ["server"]

HEADER = "Inference-Header-Content-Length"
LONGEST_JSON = 16 << 20  # bytes: as numbers of Python it takes 20 times the memory
COMPRESSED = 1024  # bytes from which a compressed answer is worth its time
ENCODINGS = ("identity", "gzip", "deflate")
log = logging.getLogger(__name__)
# aiohttp writes the traceback of each body that cannot be read, which the sender is told of.
SILENT = logging.getLogger(f"{__name__}.aiohttp")
SILENT.propagate = False
SILENT.addHandler(logging.NullHandler())
NOT_OFFERED = ("systemsharedmemory", "cudasharedmemory", "trace", "logging")


def server(service: Service) -> web.Server:
    """Return the aiohttp server of a service; it is not bound to a port yet."""
    size = service.limits.message_bytes

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Any:
        return web.BaseRequest(
            message, payload, protocol, writer, task, asyncio.get_running_loop(),
            client_max_size=size,
        )  # fmt: skip

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = await answer(request)
        if request.content.exception() is not None or not request.content.is_eof():
            # What is left of the body cannot be told from a next request: the client has to know.
            response.force_close()
        return response

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await _route(service, request)
        except Refusal as refusal:
            return _refused(refusal)
        except web.HTTPRequestEntityTooLarge:
            sentence = f"a request has {service.limits.message} MB at most, after decompression"
            return _refused(Refusal(Reason.TOO_LARGE, sentence))
        except web.HTTPException as error:
            return _json({"error": error.reason}, error.status)
        except web.RequestPayloadError as error:
            return _refused(malformed(f"the body cannot be read: {' '.join(str(error).split())}"))
        except Exception as error:  # of ours: the sender is told, and the log what it was
            log.exception("colliderkit: a request failed")
            return _refused(Refusal(Reason.FAILED, f"this server failed: {type(error).__name__}"))

    return web.Server(
        handler, request_factory=request, access_log=None, handler_cancellation=True, logger=SILENT
    )


async def _route(service: Service, request: web.BaseRequest) -> web.StreamResponse:
    parts = [unquote(part) for part in request.rel_url.raw_path.strip("/").split("/")]
    if request.method == "POST":
        match parts:
            case ["v2", "models", name, "infer"]:
                return await _infer(service, request, name, "")
            case ["v2", "models", name, "versions", version, "infer"]:
                return await _infer(service, request, name, version)
            case ["v2", "repository", "index"]:
                return _json(service.index(await _ready_alone(request)))
            case ["v2", "repository", "models", _, "load" | "unload"]:
                raise Refusal(Reason.NOT_OFFERED, service.NO_LOADING)
    if parts[:1] == ["v2"] and len(parts) > 1 and parts[1] in NOT_OFFERED:
        raise Refusal(Reason.NOT_OFFERED, f"{parts[1]} is not offered by this server")
    if request.method not in ("GET", "HEAD"):
        raise Refusal(Reason.UNKNOWN, f"nothing answers to {request.method} {request.path[:200]}")
    match parts:
        case ["v2"]:
            return _json(service.metadata())
        case ["v2", "health", "live"]:
            return web.Response()
        case ["v2", "health", "ready"]:
            return web.Response(status=200 if service.ready else 503)
        case ["metrics"]:
            return web.Response(body=exposition(service.statistics), content_type="text/plain")
        case ["v2", "models", "stats"]:
            return _json({"model_stats": service.statistics.model_stats()})
        case ["v2", "models", name, "versions", version, *rest]:
            return _of_model(service, name, version, rest)
        case ["v2", "models", name, *rest]:
            return _of_model(service, name, "", rest)
    raise Refusal(Reason.UNKNOWN, f"nothing answers to GET {request.path[:200]}")


def _of_model(service: Service, name: str, version: str, rest: list[str]) -> web.Response:
    match rest:
        case []:
            return _json(service.model_metadata(name, version))
        case ["ready"]:
            service.model(name, version)
            return web.Response(status=200 if service.ready else 503)
        case ["config"]:
            return _json(service.model_config(name, version))
        case ["stats"]:
            return _json({"model_stats": service.model_stats(name, version)})
    raise Refusal(Reason.UNKNOWN, f"a model has no '{'/'.join(rest)[:200]}'")


async def _ready_alone(request: web.BaseRequest) -> bool:
    body = await request.read()
    return bool(body) and _object(_parsed(body), "the body").get("ready") is True


async def _infer(
    service: Service, request: web.BaseRequest, name: str, version: str
) -> web.StreamResponse:
    begin = time.perf_counter()
    service.refuse_unready()
    with service.model(name, version).failures(begin):
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ENCODINGS:
            sentence = f"a body comes in {', '.join(ENCODINGS)}, not {encoding[:40]}"
            raise Refusal(Reason.ENCODING, sentence)
        if request.headers.get("Expect", "").lower() == "100-continue":
            # The request is worth its body: only now is it sent.
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.read()
        head, rest = _parts(body, request.headers.get(HEADER))
        document = _object(_parsed(head), "the request")
        given = _given(document, rest)
        wanted = _wanted(document)
        parameters = _object(document.get("parameters", {}), "parameters")
        refuse_extensions(parameters, parameters.get)
        seconds = _timeout(parameters)
        identity = document.get("id", "")
        if not isinstance(identity, str):
            raise malformed("the id of a request is a text")
        served = service.model(name, version)  # of now: a reload may have put another there
        outputs = await served.answer(given, wanted, seconds)
        made = time.perf_counter()
        every = parameters.get("binary_data_output") is True
        response = _written(served.model, outputs, identity, every, request.headers)
    now = time.perf_counter()
    served.counts.answered(now - begin, now - made)
    return response


def _parts(body: bytes, header: str | None) -> tuple[bytes, memoryview]:
    """Split a body into its JSON and the bytes of its tensors."""
    size = len(body)
    if header is not None:
        if not (header.isascii() and header.isdigit()) or not 0 < int(header[:20]) <= size:
            raise malformed(f"{HEADER} is {header[:40]!r}, and the body has {len(body)} bytes")
        size = int(header)
    if size > LONGEST_JSON:
        raise malformed(f"JSON of more than {LONGEST_JSON >> 20} MB; send binary tensors")
    return body[:size], memoryview(body)[size:]


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the request is no JSON ({str(error)[:100]})") from error


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed(f"{what} is no JSON object")
    return value


def _objects(document: dict[str, Any], what: str) -> list[dict[str, Any]]:
    values = document.get(what, [])
    if not isinstance(values, list):
        raise malformed(f"{what} are no list")
    return [_object(value, f"one of {what}") for value in values]


def _given(document: dict[str, Any], rest: memoryview) -> list[Given]:
    """Return the inputs of a request, the binary ones cut from `rest` in their order."""
    given = []
    for one in _objects(document, "inputs"):
        name, datatype, shape = one.get("name"), one.get("datatype"), one.get("shape")
        if not isinstance(name, str) or not isinstance(datatype, str):
            raise malformed("an input lacks its name or its datatype")
        if not isinstance(shape, list) or not all(type(d) is int for d in shape):
            raise malformed(f"input '{name}': its shape is no list of whole numbers")
        values: Any = one.get("data")
        if (parameters := one.get("parameters")) is not None:
            parameters = _object(parameters, "parameters")
            refuse_extensions(parameters, parameters.get)
            if (size := parameters.get("binary_data_size")) is not None:
                if values is not None:
                    raise malformed(f"input '{name}' has data and binary data")
                if type(size) is not int or not 0 <= size <= len(rest):
                    raise malformed(f"input '{name}': {len(rest)} bytes are left for its data")
                values, rest = rest[:size], rest[size:]
        if values is None:
            raise malformed(f"input '{name}' has no data")
        if not isinstance(values, list | memoryview):
            raise malformed(f"input '{name}': its data are no list")
        given.append(Given(name, datatype, shape, values))
    if len(rest):
        raise malformed(f"{len(rest)} bytes are left that belong to no input")
    return given


def _wanted(document: dict[str, Any]) -> list[Wanted]:
    wanted = []
    for one in _objects(document, "outputs"):
        name, parameters = one.get("name"), _object(one.get("parameters", {}), "parameters")
        if not isinstance(name, str):
            raise malformed("an output lacks its name")
        refuse_extensions(parameters, parameters.get)
        classes, binary = parameters.get("classification", 0), parameters.get("binary_data")
        if type(classes) is not int or classes < 0:
            raise malformed(f"output '{name}': classification is a number of classes")
        if binary is not None and type(binary) is not bool:
            raise malformed(f"output '{name}': binary_data is true or false")
        wanted.append(Wanted(name, classes, binary))
    return wanted


def _timeout(parameters: Mapping[str, Any]) -> float | None:
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or timeout < 0:
        raise malformed("timeout is a number of microseconds")
    return timeout / 1e6 or None


def _written(
    model: Any, outputs: list[Any], identity: str, every: bool, headers: Mapping[str, str]
) -> web.Response:
    """Return the response: JSON, and after it the tensors that were wanted in binary."""
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for wanted, datatype, values in outputs:
        if wanted.classes:
            values, datatype = (
                classified(values, wanted.classes, model.labels, model.batched),
                BYTES,
            )
        one: dict[str, Any] = {
            "name": wanted.name, "datatype": datatype, "shape": list(values.shape)
        }  # fmt: skip
        if every if wanted.binary is None else wanted.binary:
            blob = _raw(values, datatype)
            one["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        elif datatype == BYTES:
            one["data"] = [_text(value) for value in values.ravel()]
        else:
            one["data"] = values.ravel().tolist()
        described.append(one)
    document: dict[str, Any] = {
        "model_name": model.name,
        "model_version": str(model.version),
        "outputs": described,
    }
    if identity:
        document["id"] = identity
    head = json.dumps(document).encode()
    body, kind, more = head, "application/json", {}
    if blobs:
        body, kind = b"".join([head, *blobs]), "application/octet-stream"
        more[HEADER] = str(len(head))
    if len(body) >= COMPRESSED and (accepted := headers.get("Accept-Encoding")):
        # In the order in which they are cheap.
        if "gzip" in accepted:
            body, more["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        elif "deflate" in accepted:
            body, more["Content-Encoding"] = zlib.compress(body, 1), "deflate"
    return web.Response(body=body, content_type=kind, headers=more)


def _raw(values: Any, datatype: str) -> bytes:
    if datatype == BYTES:
        return joined([v if isinstance(v, bytes) else str(v).encode() for v in values.ravel()])
    return np.ascontiguousarray(values, NUMPY[datatype]).tobytes()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Any:
    return web.Response(
        body=json.dumps(document).encode(), status=status, content_type="application/json",
        headers=headers,
    )  # fmt: skip


def _refused(refusal: Refusal) -> web.Response:
    headers = {"Retry-After": str(refusal.after)} if refusal.reason is Reason.BUSY else None
    return _json({"error": refusal.sentence}, refusal.reason.value[0], headers)
