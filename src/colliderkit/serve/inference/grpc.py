"""Answer KServe v2 over gRPC, with Triton's extensions for configuration and statistics."""

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from colliderkit.serve.inference.datatypes import BYTES, CONTENTS, NUMPY, joined
from colliderkit.serve.inference.messages import SERVICE, message_class
from colliderkit.serve.inference.refusals import Reason, Refusal
from colliderkit.serve.inference.requests import Given, classified, malformed, refuse_extensions
from colliderkit.serve.inference.service import Service, Wanted

__all__ = ["server"]

NOT_OFFERED = {
    **dict.fromkeys(("RepositoryModelLoad", "RepositoryModelUnload"), Service.NO_LOADING),
    **{
        f"{kind}SharedMemory{what}": "shared memory is not offered here; send the tensors"
        for kind in ("System", "Cuda")
        for what in ("Status", "Register", "Unregister")
    },
    "TraceSetting": "tracing is not offered by this server",
    "LogSettings": "settings of the log are not offered by this server",
}
IN_FLIGHT = 64  # requests of one stream; the next is read when one of them is answered
ModelInferRequest = message_class("ModelInferRequest")
ModelInferResponse = message_class("ModelInferResponse")
ModelStreamInferResponse = message_class("ModelStreamInferResponse")


def server(service: Service) -> grpc.aio.Server:
    """Return the gRPC server of a service; it is not bound to a port yet."""
    running = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", service.limits.message_bytes),
            ("grpc.max_send_message_length", -1),
            # gRPC's own decompression has no bound; see `_plain`.
            ("grpc.per_message_decompression", 0),
            ("grpc.so_reuseport", 1 if service.shares_ports else 0),
        ]
    )
    running.add_generic_rpc_handlers((_handlers(service),))
    return running


def _handlers(service: Service) -> Any:
    size = service.limits.message_bytes
    methods = {
        name: grpc.unary_unary_rpc_method_handler(_unary(function, name, size))
        for name, function in _calls(service).items()
    }
    for name, sentence in NOT_OFFERED.items():
        methods[name] = grpc.unary_unary_rpc_method_handler(_not_offered(sentence))
    methods["ModelInfer"] = grpc.unary_unary_rpc_method_handler(_infer(service))
    methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(_stream(service))
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _calls(service: Service) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return what is answered from what the service says of itself, by the names of the calls."""

    def ready(request: Any) -> dict[str, Any]:
        # Of a model that is not there Triton says that it is not ready.
        with contextlib.suppress(Refusal):
            service.model(request.name, request.version)
            return {"ready": service.ready}
        return {"ready": False}

    return {
        "ServerLive": lambda request: {"live": True},
        "ServerReady": lambda request: {"ready": service.ready},
        "ModelReady": ready,
        "ServerMetadata": lambda request: service.metadata(),
        "ModelMetadata": lambda r: service.model_metadata(r.name, r.version),
        "ModelConfig": lambda r: {"config": service.model_config(r.name, r.version)},
        "ModelStatistics": lambda r: {"model_stats": service.model_stats(r.name, r.version)},
        "RepositoryIndex": lambda r: {"models": service.index(r.ready)},
    }


def _unary(function: Callable[[Any], dict[str, Any]], name: str, size: int) -> Any:
    asked, answered = message_class(f"{name}Request"), message_class(f"{name}Response")

    async def call(message: bytes, context: Any) -> bytes:
        try:
            answer = answered(**function(_read(asked, message, size)))
        except Refusal as refusal:
            await _abort(context, refusal)
        return answer.SerializeToString()

    return call


def _not_offered(sentence: str) -> Any:
    async def call(message: bytes, context: Any) -> bytes:
        await _abort(context, Refusal(Reason.NOT_OFFERED, sentence))
        raise AssertionError

    return call


def _infer(service: Service) -> Callable[[bytes, Any], Awaitable[bytes]]:
    size = service.limits.message_bytes

    async def call(message: bytes, context: Any) -> bytes:
        try:
            answer = await _answer(service, _read(ModelInferRequest, message, size), context)
        except Refusal as refusal:
            await _abort(context, refusal)
        return answer.SerializeToString()

    return call


def _stream(service: Service) -> Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]]:
    """Answer the requests of a stream in their order, several of them at a time."""
    size = service.limits.message_bytes

    async def one(message: bytes) -> bytes:
        request = None
        try:
            request = _read(ModelInferRequest, message, size)
            response = ModelStreamInferResponse(infer_response=await _answer(service, request))
        except Refusal as refusal:
            response = ModelStreamInferResponse(error_message=refusal.sentence)
            if request is not None:
                response.infer_response.id = request.id
        return response.SerializeToString()

    async def call(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(IN_FLIGHT)

        async def read() -> None:
            async for message in messages:
                await answers.put(asyncio.create_task(one(message)))
            await answers.put(None)

        reader = asyncio.create_task(read())
        try:
            while (task := await answers.get()) is not None:
                yield await task
        finally:
            reader.cancel()
            while not answers.empty():
                if left := answers.get_nowait():
                    left.cancel()

    return call


async def _answer(service: Service, request: Any, context: Any = None) -> Any:
    """Return the response to a request for inference."""
    begin = time.perf_counter()
    service.refuse_unready()
    served = service.model(request.model_name, request.model_version)
    with served.failures(begin):
        seconds = None
        final = False
        if request.parameters:
            parameters = {key: _parameter(value) for key, value in request.parameters.items()}
            refuse_extensions(parameters, parameters.get)
            seconds = _timeout(parameters)
            final = parameters.get("triton_enable_empty_final_response") is True
        if context is not None and (left := context.time_remaining()) is not None:
            seconds = left if seconds is None else min(left, seconds)
        wanted = [_wanted(one) for one in request.outputs]
        outputs = await served.answer(_given(request), wanted, seconds)
        made = time.perf_counter()
        model = served.model
        response = ModelInferResponse(
            model_name=model.name, model_version=str(model.version), id=request.id
        )
        if final:
            response.parameters["triton_final_response"].bool_param = True
        for one, datatype, values in outputs:
            if one.classes:
                values = classified(values, one.classes, model.labels, model.batched)
                datatype = BYTES
            response.outputs.add(name=one.name, datatype=datatype, shape=values.shape)
            response.raw_output_contents.append(_raw(values, datatype))
    now = time.perf_counter()
    served.counts.answered(now - begin, now - made)
    return response


def _given(request: Any) -> list[Given]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise malformed(f"{len(request.inputs)} inputs came with {len(raw)} raw contents")
    given = []
    for i, one in enumerate(request.inputs):
        if one.parameters:
            refuse_extensions(one.parameters, lambda key: _parameter(one.parameters[key]))  # noqa: B023
        if raw:
            if one.HasField("contents"):
                raise malformed(f"input '{one.name}' has both contents and raw contents")
            values: Any = raw[i]
        else:
            field = CONTENTS.get(one.datatype)
            if field is None or any(f.name != field for f, _ in one.contents.ListFields()):
                raise malformed(f"input '{one.name}': {one.datatype!r} has no such contents")
            values = getattr(one.contents, field)
        given.append(Given(one.name, one.datatype, tuple(one.shape), values))
    return given


def _wanted(one: Any) -> Wanted:
    if not one.parameters:
        return Wanted(one.name)
    parameters = {key: _parameter(value) for key, value in one.parameters.items()}
    refuse_extensions(parameters, parameters.get)
    classes = parameters.get("classification", 0)
    if type(classes) is not int or classes < 0:
        raise malformed(f"output '{one.name}': classification is a number of classes")
    return Wanted(one.name, classes)


def _parameter(value: Any) -> Any:
    choice = value.WhichOneof("choice")
    return getattr(value, choice) if choice else None


def _timeout(parameters: dict[str, Any]) -> float | None:
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or timeout < 0:
        raise malformed("timeout is a number of microseconds")
    return timeout / 1e6 or None


def _raw(values: Any, datatype: str) -> bytes:
    if datatype == BYTES:
        return joined([v if isinstance(v, bytes) else str(v).encode() for v in values.ravel()])
    return np.ascontiguousarray(values, NUMPY[datatype]).tobytes()


def _read(kind: Any, message: bytes, size: int) -> Any:
    """Return a message of a kind; raise `Refusal` for bytes that are none."""
    try:
        return kind.FromString(_plain(message, size))
    except DecodeError as error:
        raise malformed("the request is no message of its kind") from error


def _plain(message: bytes, size: int) -> bytes:
    """Return a message decompressed, to `size` bytes at most.

    The first byte tells: that of gzip is no field of a message, and that of deflate number 15.
    """
    if message[:1] not in (b"\x1f", b"\x78"):
        return message
    stream = zlib.decompressobj(wbits=47)  # of either kind
    try:
        plain = stream.decompress(message, size)
    except zlib.error as error:
        raise malformed("the request is compressed, and cannot be read") from error
    if not stream.eof and len(plain) < size:
        raise malformed("the request is compressed, and cut short")
    if not stream.eof:
        raise Refusal(Reason.TOO_LARGE, f"a request has {size >> 20} MB at most, decompressed")
    return plain


async def _abort(context: Any, refusal: Refusal) -> None:
    trailing = (("retry-after", str(refusal.after)),) if refusal.reason is Reason.BUSY else ()
    code = getattr(grpc.StatusCode, refusal.reason.value[1])
    await context.abort(code, refusal.sentence, trailing)
