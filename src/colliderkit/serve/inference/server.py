"""Serve ONNX files by KServe v2, over HTTP and gRPC, from one process."""

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from colliderkit.errors import InputError
from colliderkit.ranges import check
from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.models import Model
from colliderkit.serve.inference.repository import Entry, find
from colliderkit.serve.inference.service import Served, Service
from colliderkit.serve.inference.statistics import Statistics

__all__ = ["Server", "serve"]

DRAIN = 30.0  # seconds for what is in flight when a server ends
PUBLISHED = 0.5  # seconds between two looks at the counts of a process


class Server:
    """Serve `models` until it is stopped: in a thread of its own, as a context.

    ::

        with Server(["tagger.onnx"], http=0, grpc=0) as server:
            print(server.url, server.grpc)

    `models` are ``FILE.onnx``, ``NAME=FILE.onnx`` or a folder ``NAME/VERSION/model.onnx``. `http`
    and `grpc` are ports, 0 for any that is free; they are the ports themselves once it runs.
    `threads` are those of one run of a model, `drain` the seconds that requests in flight have at
    the end. Raises `InputError` for a port in use and for models that cannot be served.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        host: str = "127.0.0.1",
        http: int = 8000,
        grpc: int = 8001,
        threads: int = 1,
        drain: float = DRAIN,
        limits: Limits | None = None,
        process: int = 0,
        folder: Path | None = None,
    ) -> None:
        check({"http": http, "grpc": grpc, "threads": threads, "drain": drain, "limits": limits})
        self.models, self.host, self.http, self.grpc = list(models), host, http, grpc
        self.threads, self.drain, self.limits = threads, drain, limits or Limits()
        # Processes of one server share its ports and count into one folder.
        self.service = Service(self.limits, Statistics(folder, process), folder is not None)
        self._reloading = asyncio.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Return the address of the HTTP server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.http}"

    async def start(self) -> None:
        """Bind the ports, load and warm the models, then answer."""
        _need_extra()
        from aiohttp import web

        from colliderkit.serve.inference import grpc, http

        entries = find(self.models)
        shared = self.service.shares_ports
        listening = bound(self.host, self.http, shared)
        self.http = listening.getsockname()[1]
        self._http = web.ServerRunner(http.server(self.service), shutdown_timeout=self.drain)
        await self._http.setup()
        await web.SockSite(self._http, listening, backlog=1024).start()
        self._grpc = grpc.server(self.service)
        try:
            bound(self.host, self.grpc, shared, what="grpc").close()
            self.grpc = self._grpc.add_insecure_port(_address(self.host, self.grpc))
            await self._grpc.start()
            await self._load(entries)
        except BaseException:
            await self.stop()
            raise
        self.service.ready = True
        if shared:
            self._publishing = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        """Let the other processes know the counts of this one, from time to time."""
        while True:
            await asyncio.sleep(PUBLISHED)
            self.service.statistics.publish()

    async def stop(self) -> None:
        """Refuse what comes, answer what is in flight, and close the ports."""
        service = self.service
        service.ready, service.stopping = False, True
        waiting = asyncio.gather(*(served.batcher.close() for served in service.served))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiting, self.drain)
        await asyncio.gather(self._http.cleanup(), self._grpc.stop(self.drain))
        service.statistics.publish()

    async def replace(self) -> str:
        """Look for the models again and put the new ones in place of the old, losing nothing.

        A model that cannot be loaded is an `InputError`, and all stays as it was.
        """
        async with self._reloading:
            await self._load(await asyncio.to_thread(find, self.models))
        return self.named()

    def named(self) -> str:
        """Return the names and versions that are served, in one line."""
        return ", ".join(
            f"{served.model.name}/{served.model.version}" for served in self.service.served
        )

    async def _load(self, entries: Sequence[Entry]) -> None:
        opened = []
        for entry in entries:
            opened.append(await asyncio.to_thread(self._open, entry))
        before, new = self.service.served, dict[str, dict[int, Served]]()
        for model in opened:
            counts = self.service.statistics.of(model.name, model.version)
            new.setdefault(model.name, {})[model.version] = Served(model, self.limits, counts)
        self.service.models = new
        # What was asked of the old ones is answered by them.
        await asyncio.gather(*(served.batcher.close() for served in before))

    def _open(self, entry: Entry) -> Model:
        return Model(entry.name, entry.version, entry.path, self.limits, self.threads)

    def __enter__(self) -> "Server":
        started: list[BaseException | None] = []
        ready = threading.Event()

        async def main() -> None:
            self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
            try:
                await self.start()
            except BaseException as error:
                started.append(error)
                return
            finally:
                ready.set()
            await self._ended.wait()
            await self.stop()

        self._thread = threading.Thread(target=asyncio.run, args=(main(),), name="serve")
        self._thread.start()
        ready.wait()
        if started and started[0] is not None:
            self._thread.join()
            raise started[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def reload(self) -> str:
        """Reload from the thread of a context."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self.replace(), self._loop).result()


async def serve(server: Server, said: Callable[[str], None] = print) -> None:
    """Run a server until SIGTERM or SIGINT, and reload it at SIGHUP."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            said(f"reloaded: {await server.replace()}")
        except InputError as error:
            print(f"colliderkit: not reloaded: {error}", file=sys.stderr, flush=True)

    def hang_up() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await server.start()
    said(f"ready: {server.url}, grpc {_address(server.host, server.grpc)}, models {server.named()}")
    await ended.wait()
    await server.stop()


def bound(host: str, port: int, shared: bool, what: str = "http") -> socket.socket:
    """Return a socket at a port; raise `InputError` where that is taken or not this machine's."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, proto)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        if not shared:
            listening.listen(1024)
    except OSError as error:
        raise InputError(
            f"{what} is {port}, and {host}:{port} cannot be used ({error.strerror or error});"
            " choose another port or host, or 0 for any that is free."
        ) from error
    return listening


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _need_extra() -> None:
    try:
        import aiohttp  # noqa: F401
        import grpc  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"serving needs {error.name}; pip install 'colliderkit[serve]'."
        ) from error
