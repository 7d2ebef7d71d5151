"""Run a server in this process, or in several that share its ports."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError
from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.repository import find
from colliderkit.serve.inference.server import Server, bound, serve

__all__ = ["run"]

EXIT = 2  # of a process whose models cannot be served, as of the command itself


def run(
    models: list[str],
    *,
    host: str,
    http: int,
    grpc: int,
    processes: int,
    threads: int,
    drain: float,
    limits: Limits,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Several processes bind the same ports (SO_REUSEPORT), among which the kernel spreads the
    connections; this one then holds the ports, hands its signals on, and starts a process again
    that has died. They count into one folder, so that each tells of all.
    """
    options: dict[str, Any] = {"host": host, "threads": threads, "drain": drain, "limits": limits}
    if processes == 1:
        _one(models, options | {"http": http, "grpc": grpc})
        return
    find(models)  # what is wrong with them is said once
    # Nobody else may have them: with SO_REUSEPORT a second server would join in silence.
    for port, what in ((http, "http"), (grpc, "grpc")):
        bound(host, port, False, what).close()
    with tempfile.TemporaryDirectory(prefix="colliderkit-serve-") as folder:
        held = [bound(host, port, True) for port in (http, grpc)]
        ports = [one.getsockname()[1] for one in held]
        options |= {"http": ports[0], "grpc": ports[1], "folder": Path(folder)}
        try:
            _several(models, options, processes)
        finally:
            for one in held:
                one.close()


def _one(models: list[str], options: dict[str, Any]) -> None:
    server = Server(models, **options)

    def said(line: str) -> None:
        # What stays for good is not looked through again for garbage.
        gc.collect()
        gc.freeze()
        print(line, flush=True)

    asyncio.run(serve(server, said))


def _member(models: list[str], options: dict[str, Any]) -> None:
    """Serve as one of several processes."""
    try:
        _one(models, options)
    except InputError as error:
        print(f"colliderkit: {error}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT) from None


def _several(models: list[str], options: dict[str, Any], count: int) -> None:
    # Not forked: the threads of gRPC and onnxruntime do not survive that.
    context = multiprocessing.get_context("spawn")
    members: list[BaseProcess] = []
    ending = False

    def start(number: int) -> BaseProcess:
        member = context.Process(target=_member, args=(models, options | {"process": number}))
        member.start()
        return member

    def hand_on(number: int, frame: object) -> None:
        nonlocal ending
        ending = ending or number != signal.SIGHUP
        for member in members:
            if member.is_alive() and member.pid is not None:
                _send(member.pid, signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    for handled in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(handled, hand_on)
    members.extend(start(number) for number in range(count))
    while any(member.is_alive() for member in members):
        for number, member in enumerate(members):
            member.join(0.1)
            if member.is_alive() or ending:
                continue
            if member.exitcode == EXIT:  # it has said why, and so would the others
                hand_on(signal.SIGTERM, None)
                for one in members:
                    one.join()
                raise SystemExit(EXIT)
            print(
                f"colliderkit: process {number} ended with {member.exitcode}; it is started again",
                file=sys.stderr,
                flush=True,
            )
            members[number] = start(number)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
