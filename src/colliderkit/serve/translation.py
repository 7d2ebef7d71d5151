"""Translate torch modules to ONNX and open them in onnxruntime, both silent."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError

__all__ = ["quiet", "session", "translate"]


def translate(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    names: Sequence[str],
    outputs: Sequence[str],
    free: tuple[dict[int, Any], ...],
    what: str,
) -> Any:
    """Return the ONNX model (protobuf) of a module that is called with `inputs`.

    `names` and `outputs` are those of the file, `free` the dimensions of each input that may
    change (see torch.export). Raises `InputError`, beginning with `what`, for what torch cannot
    express.
    """
    try:
        with quiet(), _recurrence_kept():
            try:
                program = torch.export.export(module, inputs, dynamic_shapes=free)
            except Exception:
                # ``len(tensor)`` is a constant to that tracer. This one, slower, follows it, but
                # unrolls recurrent layers.
                program = torch.export.export(module, inputs, dynamic_shapes=free, strict=True)
            translated = torch.onnx.export(
                program,
                inputs,
                dynamo=True,
                dynamic_shapes=free,
                input_names=list(names),
                output_names=list(outputs),
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"{what}: torch cannot write it as ONNX ({reason}).") from error
    assert translated is not None
    proto = translated.model_proto
    # The exporter notes the lines of source that made each node, with the paths of this machine.
    graph = proto.graph
    for noted in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del noted.metadata_props[:]
    for weight in graph.initializer:
        del weight.metadata_props[:]
    return proto


def session(model: bytes, threads: int = 0) -> Any:
    """Open a serialised ONNX model in onnxruntime; 0 threads take all cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _recurrence_kept() -> Iterator[None]:
    """Keep an LSTM or GRU one loop of any length, where the tracer would write out each step."""
    with contextlib.ExitStack() as stack:
        # A torch without these traces recurrent networks for one length, which is an error then.
        with contextlib.suppress(ImportError, AttributeError):
            from torch.export import _patches

            stack.enter_context(_patches.register_lstm_while_loop_decomposition())
            stack.enter_context(_patches.register_gru_while_loop_decomposition())
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress, warnings and logs of an exporter off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
