"""Serve ONNX files to clients of the KServe v2 protocol, over HTTP and gRPC."""

import json
from collections.abc import Sequence

from colliderkit.cli import help as screen
from colliderkit.cli.parsing import leading, naming_options, parse
from colliderkit.serve.inference.limits import Limits

__all__ = ["main", "serve"]


def serve(
    models: list[str],
    *,
    host: str = "127.0.0.1",
    http: int = 8000,
    grpc: int = 8001,
    processes: int = 1,
    threads: int = 1,
    drain: float = 30.0,
    limits: Limits,
) -> None:
    """Serve exported models to SONIC, coffea and any KServe or Triton client, until SIGTERM.

    Args:
        models: ONNX files, each as FILE.onnx or NAME=FILE.onnx, and folders of
            NAME/VERSION/model.onnx; SIGHUP has them looked for again.
        host: the address to listen at; 0.0.0.0 is the whole network, which has to be trusted.
        http: port of HTTP and of the metrics; 0 takes any that is free.
        grpc: port of gRPC.
        processes: that share the ports of this node.
        threads: of one run of a model.
        drain: seconds that requests in flight have at the end.
        limits: what is taken.

    Examples:
        colliderkit serve tagger.onnx
        colliderkit serve pfn=tagger.onnx --host 0.0.0.0 --latency 0.1
        colliderkit serve repository --processes 4
    """
    from colliderkit.serve.inference.processes import run

    run(
        models, host=host, http=http, grpc=grpc, processes=processes, threads=threads, drain=drain,
        limits=limits,
    )  # fmt: skip


def main(argv: Sequence[str]) -> None:
    """Parse and run: the words before the first option are the models."""
    words = leading(argv)
    named = ["--models", json.dumps(words)] if words else []
    description = (serve.__doc__ or "").split("\n\n")[0]
    parsed = parse(
        "colliderkit serve", description, [*named, *argv[len(words) :]], [serve, Limits],
        supplied=["limits"], positional=["models"], examples=screen.examples(serve),
    )  # fmt: skip
    function, limits = parsed.taken
    with naming_options(parsed.names):
        function(limits=limits)
