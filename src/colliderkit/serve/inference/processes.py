"""Run a server in this process, or in several that share its ports."""

import asyncio
from typing import Any

from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.server import Server, serve

__all__ = ["run"]


def run(
    models: list[str],
    host: str,
    http: int,
    grpc: int,
    processes: int,
    threads: int,
    drain: float,
    limits: Limits,
) -> None:
    """Serve until SIGTERM or SIGINT."""
    options: dict[str, Any] = {"threads": threads, "drain": drain, "limits": limits}
    asyncio.run(serve(Server(models, host=host, http=http, grpc=grpc, **options)))
