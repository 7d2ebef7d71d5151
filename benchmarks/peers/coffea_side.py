"""The real tritonclient and coffea's triton wrapper against any KServe v2 server.

Run inside coffea's environment (see environments.py); prints one JSON line. `--given` is an npz
file: jets as flat ``values`` (P, 4) with ``lengths`` (N,), and the ``probability`` (N, 2) that the
file itself gives of each.
"""

import argparse
import asyncio
import json
import queue
import time
from importlib.metadata import version

import numpy as np
import tritonclient.grpc as of_grpc
import tritonclient.grpc.aio as aio_grpc
import tritonclient.http as of_http
import tritonclient.http.aio as aio_http
from tritonclient.utils import InferenceServerException

OFFERED = ("501", "UNIMPLEMENTED")
TYPES = {
    "BOOL": "?", "INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8", "UINT8": "u1",
    "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip


class Given:
    """Jets, and what the file gives of them."""

    def __init__(self, path):
        given = np.load(path)
        self.parts = np.split(given["values"], np.cumsum(given["lengths"])[:-1])
        self.truth = given["probability"]

    def rows(self, first, rows):
        chosen = [(first + i) % len(self.parts) for i in range(rows)]
        parts = [self.parts[i] for i in chosen]
        x = np.zeros((rows, max(map(len, parts)), 4), np.float32)
        for row, part in zip(x, parts, strict=True):
            row[: len(part)] = part
        return x, self.truth[chosen]


def tensor(module, name, x, **how):
    datatype = next(t for t, kind in TYPES.items() if np.dtype(kind) == x.dtype)
    given = module.InferInput(name, list(x.shape), datatype)
    given.set_data_from_numpy(x, **how)
    return given


def load(options):
    """Load a server with clients, closed (each waits for its answer) or open (so many a second)."""
    given = Given(options.given)
    module = aio_grpc if options.protocol == "grpc" else aio_http
    count = 256
    pool = [given.rows(i * options.rows, options.rows) for i in range(count)]
    inputs = [tensor(module, "constituents", x) for x, _ in pool]
    outputs = [module.InferRequestedOutput("probability")]
    late = {"client_timeout": options.timeout} if options.protocol == "grpc" else {}
    answered, refused, lost, wrong = [], [], {}, 0
    worst = 0.0

    async def ask(client, i):
        nonlocal wrong, worst
        begin = time.perf_counter()
        try:
            if options.call == "live":
                await client.is_server_live()
                answered.append(time.perf_counter() - begin)
                return
            found = await client.infer(options.model, [inputs[i % count]], outputs=outputs, **late)
            answered.append(time.perf_counter() - begin)
            away = float(np.abs(found.as_numpy("probability") - pool[i % count][1]).max())
            worst = max(worst, away)
            wrong += away > 1e-6
        except InferenceServerException as error:
            status = str(error.status())
            if "UNAVAILABLE" in status or "503" in status:
                refused.append(time.perf_counter() - begin)
            else:
                name = f"{status}: {error.message()}"[:200]
                lost[name] = lost.get(name, 0) + 1
        except Exception as error:
            name = f"{type(error).__name__}: {error}"[:200]
            lost[name] = lost.get(name, 0) + 1

    async def closed():
        more = {} if options.protocol == "grpc" else {"conn_limit": options.clients + 1}
        client = module.InferenceServerClient(options.address, **more)
        left = iter(range(options.requests))

        async def one():
            for i in left:
                await ask(client, i)

        await asyncio.gather(*[ask(client, i) for i in range(options.clients)])  # connects
        answered.clear()
        begin = time.perf_counter(), time.process_time()
        await asyncio.gather(*[one() for _ in range(options.clients)])
        spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
        await client.close()
        return spent

    async def open_loop():
        more = {} if options.protocol == "grpc" else {"conn_limit": 100_000}
        client = module.InferenceServerClient(options.address, **more)
        begin, cpu = time.perf_counter(), time.process_time()
        asked = set()
        i = 0
        while (now := time.perf_counter() - begin) < options.seconds:
            while i < now * options.rate:
                task = asyncio.ensure_future(ask(client, i))
                asked.add(task)
                task.add_done_callback(asked.discard)
                i += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*asked)
        spent = time.perf_counter() - begin, time.process_time() - cpu
        await client.close()
        return spent

    wall, cpu = asyncio.run(open_loop() if options.rate else closed())
    quantiles = {}
    for name, times in (("answered", answered), ("refused", refused)):
        values = np.quantile(times, [0.5, 0.99, 1.0]) if times else [0.0] * 3
        quantiles[name] = [1e3 * float(value) for value in values]
    return {
        "answered": len(answered), "refused": len(refused), "lost": sum(lost.values()),
        "errors": lost, "wrong": int(wrong), "worst": worst, "quantiles_ms": quantiles,
        "wall_s": wall, "client_cpu_s": cpu,
    }  # fmt: skip


def calls(options):
    """Call everything that tritonclient has; return what each gave, "" where it was right."""
    given = Given(options.given)
    x, truth = given.rows(0, 3)
    checked = {}

    def check(name, call):
        try:
            said = call()
            checked[name] = "" if said is None or said is True else f"gave {said!r}"[:200]
        except Exception as error:
            checked[name] = f"{type(error).__name__}: {error}"[:200]

    def close(found, ours=truth):
        away = float(np.abs(found.astype(np.float64) - ours.astype(np.float64)).max())
        return None if found.shape == ours.shape and away <= 1e-6 else f"{away:.1e} off"

    def refused(call, *statuses):
        try:
            call()
        except InferenceServerException as error:
            said = f"{error.status()} {error.message()}"
            one = "\n" not in error.message().strip()
            return None if one and any(s in said for s in statuses) else said
        return "was not refused"

    for name, module, address in (
        ("http", of_http, options.http), ("grpc", of_grpc, options.grpc)
    ):  # fmt: skip
        client = module.InferenceServerClient(address)
        json_of = {} if name == "http" else {"as_json": True}
        check(f"{name} server live", client.is_server_live)
        check(f"{name} server ready", client.is_server_ready)
        check(f"{name} model ready", lambda c=client: c.is_model_ready(options.model))
        check(f"{name} version ready", lambda c=client: c.is_model_ready(options.model, "1"))
        check(
            f"{name} unknown model is not ready",
            lambda c=client: None if not c.is_model_ready("nobody") else "ready",
        )

        def metadata(c=client, j=json_of):
            assert c.get_server_metadata(**j)["name"]
            about = c.get_model_metadata(options.model, **j)
            shape = [int(n) for n in about["inputs"][0]["shape"]]
            return None if about["name"] == options.model and shape == [-1, -1, 4] else about

        def config(c=client, j=json_of):
            about = c.get_model_config(options.model, **j)
            about = about.get("config", about)
            kind = about["input"][0]["data_type"]
            dims = [int(n) for n in about["input"][0]["dims"]]
            sizes = about["dynamic_batching"]["preferred_batch_size"]
            right = kind == "TYPE_FP32" and dims == [-1, 4] and [int(n) for n in sizes] == [64]
            return None if right else about

        def statistics(c=client, j=json_of, m=module):
            def rows():
                about = c.get_inference_statistics(options.model, **j)["model_stats"][0]
                return int(about.get("inference_count", 0))

            before = rows()
            c.infer(options.model, [tensor(m, "constituents", x)])
            after = rows()
            return None if after == before + len(x) else (before, after)

        def index(c=client, j=json_of):
            about = c.get_model_repository_index(**j)
            names = [m["name"] for m in (about if isinstance(about, list) else about["models"])]
            return None if options.model in names else about

        check(f"{name} metadata", metadata)
        check(f"{name} config", config)
        check(f"{name} statistics", statistics)
        check(f"{name} repository index", index)

        def infer(c=client, m=module, how=None, ask=None, **more):
            outputs = [m.InferRequestedOutput("probability", **(ask or {}))]
            taken = [tensor(m, "constituents", x, **(how or {}))]
            return close(c.infer(options.model, taken, outputs=outputs, **more).as_numpy(
                "probability"
            ))  # fmt: skip

        check(f"{name} infer", infer)
        check(f"{name} infer, version 1, id", lambda f=infer: f(model_version="1", request_id="7"))
        check(
            f"{name} infer, all outputs",
            lambda c=client, m=module: close(
                c.infer(options.model, [tensor(m, "constituents", x)]).as_numpy("probability")
            ),
        )

        def classes(c=client, m=module):
            outputs = [m.InferRequestedOutput("probability", class_count=2)]
            found = c.infer(options.model, [tensor(m, "constituents", x)], outputs=outputs)
            best = [row[0].decode().split(":")[:2] for row in found.as_numpy("probability")]
            right = [int(i) for _, i in best] == truth.argmax(1).tolist()
            return None if right and close(np.array([float(v) for v, _ in best]), truth.max(1)) is (
                None
            ) else best  # fmt: skip

        check(f"{name} classification", classes)
        if name == "http":
            check("http JSON in", lambda f=infer: f(how={"binary_data": False}))
            check("http JSON out", lambda f=infer: f(ask={"binary_data": False}))
            for kind in ("gzip", "deflate"):
                check(
                    f"http {kind} both ways",
                    lambda f=infer, k=kind: f(
                        request_compression_algorithm=k, response_compression_algorithm=k
                    ),
                )

            def later(c=client, m=module):
                asked = [
                    c.async_infer(options.model, [tensor(m, "constituents", given.rows(i, 1)[0])])
                    for i in range(20)
                ]
                found = [a.get_result().as_numpy("probability") for a in asked]
                return close(np.concatenate(found), given.rows(0, 20)[1])

            check("http asynchronous", later)
        else:
            for kind in ("gzip", "deflate"):
                check(f"grpc {kind}", lambda f=infer, k=kind: f(compression_algorithm=k))

            def later(c=client, m=module, stream=False):
                found = queue.Queue()

                def keep(result, error):
                    found.put((result, error))

                if stream:
                    c.start_stream(keep)
                for i in range(20):
                    taken = [tensor(m, "constituents", given.rows(i, 1)[0])]
                    if stream:
                        c.async_stream_infer(options.model, taken, request_id=str(i))
                    else:
                        c.async_infer(options.model, taken, keep, request_id=str(i))
                rows = np.zeros((20, 2))
                for _ in range(20):
                    result, error = found.get(timeout=20)
                    if error is not None:
                        return str(error)
                    rows[int(result.get_response().id)] = result.as_numpy("probability")[0]
                if stream:
                    c.stop_stream()
                return close(rows, given.rows(0, 20)[1])

            check("grpc asynchronous", later)
            check("grpc stream", lambda: later(stream=True))
        for datatype, kind in TYPES.items():
            values = np.array([[0, 1, 1], [1, 0, 1]], kind)
            values = values + values if datatype != "BOOL" else values
            for binary in (True, False) if name == "http" and datatype != "FP16" else (True,):
                how = {"binary_data": binary} if name == "http" else {}

                def same(c=client, m=module, t=datatype, v=values, h=how):
                    entry, end = f"in_{t.lower()}", f"out_{t.lower()}"
                    taken = [tensor(m, entry, v, **h)]
                    wanted = [m.InferRequestedOutput(end, **h)]
                    found = c.infer(f"types_{t.lower()}", taken, outputs=wanted).as_numpy(end)
                    return None if found.dtype == v.dtype and (found == v).all() else found

                check(f"{name} {datatype}{'' if binary else ', JSON'}", same)
        check(f"{name} load model", lambda c=client: refused(lambda: c.load_model("x"), *OFFERED))
        check(
            f"{name} unload model", lambda c=client: refused(lambda: c.unload_model("x"), *OFFERED)
        )
        check(
            f"{name} shared memory",
            lambda c=client: refused(
                lambda: c.register_system_shared_memory("x", "/x", 8), *OFFERED
            ),
        )
        check(
            f"{name} sequence",
            lambda f=infer: refused(
                lambda: f(sequence_id=5, sequence_start=True, sequence_end=True), *OFFERED
            ),
        )

    async def asynchronous(module, address):
        client = module.InferenceServerClient(address)
        mixed = [tensor(module, "constituents", given.rows(i, 1 + i % 3)[0]) for i in range(60)]
        found = await asyncio.gather(*[client.infer(options.model, [one]) for one in mixed])
        await client.close()
        away = [
            np.abs(f.as_numpy("probability") - given.rows(i, 1 + i % 3)[1]).max()
            for i, f in enumerate(found)
        ]
        return None if max(away) <= 1e-6 else f"{max(away):.1e} off"

    for name, module, address in (
        ("http", aio_http, options.http), ("grpc", aio_grpc, options.grpc)
    ):  # fmt: skip
        check(
            f"{name} asyncio, 60 at once of mixed lengths",
            lambda m=module, a=address: asyncio.run(asynchronous(m, a)),
        )
    return {"calls": checked}


def wrapper(options):
    """Ask by coffea's wrapper, jets padded to one length as its users do."""
    import awkward as ak
    from coffea.ml_tools.triton_wrapper import triton_wrapper

    given = Given(options.given)
    x, truth = given.rows(0, 300)

    class Tagger(triton_wrapper):
        def prepare_awkward(self, jets):
            return [["probability"], {"constituents": jets}], {}

    # Over gRPC alone: of HTTP, it asks tritonclient for what that does not have (as_json).
    tagger = Tagger(f"triton+grpc://{options.grpc}/{options.model}/1", {"ssl": False})
    found = tagger(ak.from_regular(ak.from_numpy(x)))["probability"]
    worst = float(np.abs(ak.to_numpy(found) - truth).max())
    return {"worst": worst, "batch_size": int(tagger.batch_size)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["load", "calls", "wrapper"])
    parser.add_argument("--given", required=True)
    parser.add_argument("--model", default="pfn")
    parser.add_argument("--protocol", choices=["grpc", "http"], default="grpc")
    for name in ("address", "http", "grpc"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--call", choices=["infer", "live"], default="infer")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    answer = {"load": load, "calls": calls, "wrapper": wrapper}[options.verb](options)
    packages = ("tritonclient", "coffea", "numpy", "grpcio")
    print(json.dumps({**answer, "versions": {name: version(name) for name in packages}}))


if __name__ == "__main__":
    main()
