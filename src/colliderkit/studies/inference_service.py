"""Inference as a service: what batching saves, what asynchronous calls hide, what a server costs.

The claims of SONIC (2007.10359, 2009.04509, 2402.15366), one by one, on one node.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.events.ragged import Ragged
from colliderkit.methods.simulation.surrogate import LAYERS, VOXELS, ShowerSurrogate
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.value import Value
from colliderkit.report.results import Result
from colliderkit.report.service import against_clients, event_loops
from colliderkit.report.verdict import Aim
from colliderkit.serve.load import Served, drive, served
from colliderkit.serve.onnx import export_method
from colliderkit.serve.remote import RemoteModel
from colliderkit.serve.showers import export_surrogate
from colliderkit.serve.translation import session
from colliderkit.sources.geant4 import gflash
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.toys.jets import ragged_jets
from colliderkit.studies.run import Run, Study
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import predict
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Feed = dict[str, NDArray[Any]]

SUMMARY = """
A client asks, a server answers: SONIC runs the networks of CMS, ProtoDUNE and LIGO on servers, so
that jobs need no accelerator of their own. Three claims go with it: requests of many events and
clients are run in one batch; the latency is invisible to an event loop that goes on meanwhile; and
a server of CPUs alone costs no throughput. Here they are measured on one node, client and server
beside each other, with `colliderkit serve` and its client.
"""
STAND_IN = """
Jets and showers are drawn from simple distributions, and networks are trained on few of them: how
long a network takes does not depend on its weights. Client and server share one machine, so that
there is no network between them, and no GPU unless it has one.
"""
MEASURES = """
Each of the clients has one request at a time. Throughput counts jets or showers; latency is from
the request to the answer, as the client sees it; CPU time is that of the server's process. "Not
batched" runs every request by itself. Errors are of the repetitions, batched and not in turn. In
the event loops each event has other work too, twice as long as the network takes here.
"""
TITLES = {"pfn": "PFN", "particle-net-lite": "ParticleNet-Lite", "particle-net": "ParticleNet"}
CALO = "CaloDiffusion"
THROUGHPUT, P50, P99 = "throughput [1/s]", "p50 [ms]", "p99 [ms]"
CPU, BYTES = "server CPU a request [ms]", "bytes a request"
SAVED, EQUAL = "CPU, not batched over batched", "largest difference to the local file"
OVER_BARE = "wall time over a loop without inference"
OVER_LOCAL = "wall time over inference in the loop"
WAITING, ASYNCHRONOUS, LOCAL = "server, waiting", "server, asynchronous", "in the loop"
GPU = "GPU over one CPU core"
LIMIT = 100.0  # ms
AIMS = (
    Aim("What a server answers is what the file answers here", EQUAL, "*", "below", 1e-5),
    Aim("Many clients cost the server less CPU time where their requests are batched", SAVED,
        f"{TITLES['pfn']}, *", "above", 1.0),
    Aim("99% of the answers come within 100 ms", P99, f"{TITLES['pfn']}, *1 a request, batched",
        "below", LIMIT),
    Aim("Asynchronous calls hide the latency from an event loop", OVER_BARE, ASYNCHRONOUS,
        "below", 1.2),
    Aim("An event loop loses nothing to a CPU server", OVER_LOCAL, ASYNCHRONOUS, "below", 1.0),
)  # fmt: skip
ON_GPU = (Aim("A GPU is ten times as fast as a CPU core or more", GPU, "*", "above", 10.0),)


@dataclass(frozen=True)
class Scale:
    """Networks, clients, events a request, requests and repetitions of each measurement."""

    networks: tuple[str, ...]
    calorimeter: str
    clients: tuple[int, ...]
    rows: tuple[int, ...]
    requests: int
    showers: int  # a request each, of a measurement
    repetitions: int
    loop: int  # events of an event loop
    train: int = 1_000


SCALES = {
    "smoke": Scale(("pfn",), "smoke", (1, 4), (1,), 60, 20, 2, 30, train=300),
    "laptop": Scale(
        ("pfn", "particle-net-lite"), "photons-368", (1, 8, 64), (1, 64), 3_000, 100, 3, 500
    ),
    "night": Scale(
        (*TITLES,), "photons-368", (1, 2, 4, 8, 16, 32, 64, 128), (1, 16, 64), 30_000, 2_000, 5,
        5_000,
    ),
    "paper": Scale(
        (*TITLES,), "electrons-6480", (1, 2, 4, 8, 16, 32, 64, 128, 256), (1, 16, 64, 256),
        100_000, 2_000, 5, 20_000, train=10_000,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """An exported file, and what it is asked: `feed` gives the input of so many events."""

    title: str
    path: Path
    feed: Callable[[int, int], Feed]  # of a number of events, by a seed
    requests: int


def inference_service(run: Run[Scale]) -> None:
    """Export models, load servers of them with clients, and run event loops."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    taggers = {name: tagger(run, name) for name in scale.networks}
    models = [of_jets(run, name, fitted) for name, fitted in taggers.items()]
    models.append(of_showers(run))
    results: list[Result] = []
    for model in models:
        results += run_load(run, model)
    draw_load(run, models, results)
    report.add_heading("Event loops")
    loops = run.value("event loops", partial(event_loop_times, run, models[-2]))
    add_loops(run, models[-2], loops)
    if torch.cuda.is_available():
        report.add_heading("On a GPU")
        rows = [Result.over_seeds(TITLES[n], GPU, on_gpu(run, n, t)) for n, t in taggers.items()]
        report.add_results(rows, "Jets a second in batches of 1,024, over those of one CPU core.")


def tagger(run: Run[Scale], name: str) -> Tagger:
    """Return a tagger, fitted in passing."""
    training = Training(epochs=1, batch_size=100, learning_rate=2e-3, devices=1)
    jets = ragged_jets(run.scale.train, seed=1)
    return run.fitted(TITLES[name], Tagger(name, training=training), jets, progress=False)


def of_jets(run: Run[Scale], name: str, fitted: Tagger) -> Model:
    """Export a tagger; it is asked jets of 10 to 60 particles."""
    jets = ragged_jets(2_000, seed=2)
    path = run.file(f"{name}.onnx", lambda path: export_method(fitted, path, jets[:256]))
    inputs = fitted.inputs(jets)
    assert isinstance(inputs, Ragged)

    def feed(rows: int, seed: int) -> Feed:
        chosen = torch.randint(len(inputs), (rows,), generator=torch.Generator().manual_seed(seed))
        return {"constituents": inputs.padded(chosen)[0].numpy()}

    return Model(TITLES[name], path, feed, run.scale.requests)


def of_showers(run: Run[Scale]) -> Model:
    """Export a diffusion surrogate as CaloDiffusion's; it is asked showers of given energies."""
    geometry, train = showers(run.scale)
    large = run.scale.calorimeter == "electrons-6480"
    options: dict[str, Any] = {} if large else {"width": 32, "depth": 2}
    if run.scale.calorimeter == "smoke":
        options = {"width": 8, "depth": 1, "heads": 2}
    network = {"smoke": "rings", "photons-368": "ring-mixer"}.get(run.scale.calorimeter, "u-net")
    surrogate = ShowerSurrogate(
        network=network,
        network_options=options,
        layer_generator=None,
        layers=replace(LAYERS, epochs=1),
        voxels=replace(VOXELS, epochs=1, batch_size=100),
    )
    fitted = run.fitted(CALO, surrogate, train, geometry)
    path = run.file("calo-diffusion.onnx", lambda path: export_surrogate(fitted, path))
    low, high = fitted.range_

    def feed(rows: int, seed: int) -> Feed:
        random = np.random.default_rng(seed)
        noise = random.normal(size=(rows, fitted.noise_size)).astype(np.float32)
        energy = low * (high / low) ** random.random((rows, 1))
        return {"noise": noise, "incident": energy.astype(np.float32)}

    return Model(CALO, path, feed, run.scale.showers)


def showers(scale: Scale) -> tuple[Geometry, Showers]:
    """Return a calorimeter and showers in it by parametrisation, of 1 to 50 GeV."""
    count = min(scale.train, 1_000)
    energy = np.random.default_rng(1).permutation(np.geomspace(1_000.0, 50_000.0, count))
    if scale.calorimeter == "smoke":
        geometry = Geometry.regular("smoke", 3, 4, (0, 5, 15, 40), 11)
        medium, ends = gflash.TUNGSTEN_SILICON, np.array([0.0, 25.0, 45.0, 76.0])
    else:
        given = calorimeter(scale.calorimeter)
        geometry = given.geometry
        medium, ends, _ = gflash.effective_medium(given)
    drawn = gflash.showers(energy, geometry, medium, seed=1, depths=ends)
    return geometry, Showers.checked(energy, drawn)


def run_load(run: Run[Scale], model: Model) -> list[Result]:
    """Load servers of a model, one that batches and one that does not, with clients."""
    points = [(clients, rows) for clients in run.scale.clients for rows in run.scale.rows]
    found: dict[str, Any] = run.value(f"load of {model.title}", partial(loaded, run, model, points))
    results = [Result(model.title, EQUAL, found["difference"], 0.0)]
    for clients, rows in points:
        cpu: dict[str, Value] = {}
        for how in ("batched", "not batched"):
            subject = subject_of(model, clients, rows, how)
            for quantity, values in found[subject].items():
                results.append(Result(subject, quantity, *spread(values)))
            cpu[how] = Value(*spread(found[subject][CPU]))
        if clients == max(run.scale.clients) and rows == 1:
            one, other = cpu["not batched"], cpu["batched"]
            ratio = one.value / other.value
            error = ratio * float(np.hypot(one.error / one.value, other.error / other.value))
            results.append(Result(f"{model.title}, {clients} clients", SAVED, ratio, error))
    return results


def subject_of(model: Model, clients: int, rows: int, how: str) -> str:
    """Name a measurement."""
    return f"{model.title}, {clients} clients, {rows} a request, {how}"


def loaded(run: Run[Scale], model: Model, points: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return the figures of each measurement, a list over the repetitions."""
    found: dict[str, Any] = {}
    name = model.path.stem
    with ExitStack() as stack:
        servers = {
            "batched": stack.enter_context(served({name: model.path})),
            "not batched": stack.enter_context(served({name: model.path}, batch=1)),
        }
        found["difference"] = difference(model, servers["batched"])
        for clients, rows in points:
            feeds = [model.feed(rows, seed) for seed in range(64)]
            # As much work for each number of events a request, and enough for all clients.
            requests = max(model.requests // rows, 4 * clients)
            for repetition in range(run.scale.repetitions):
                for how, server in servers.items():
                    with RemoteModel(f"{server.grpc}/{name}", in_flight=clients) as remote:
                        drive(remote, feeds, clients)  # opens the connection
                        load = drive(remote, feeds, requests, process=server.process)
                    figures = {
                        THROUGHPUT: requests * rows / load.seconds,
                        P50: 1e3 * load.at(0.5),
                        P99: 1e3 * load.at(0.99),
                        CPU: 1e3 * load.cpu / requests,
                        BYTES: (load.sent + load.received) / requests,
                    }
                    subject = subject_of(model, clients, rows, how)
                    kept = found.setdefault(subject, {quantity: [] for quantity in figures})
                    for quantity, value in figures.items():
                        kept[quantity].append(value)
    return found


def difference(model: Model, server: Served) -> float:
    """Return the largest difference of a server's answers to the file's, over their largest."""
    here = session(model.path.read_bytes(), threads=1)
    largest = 0.0
    with RemoteModel(f"{server.grpc}/{model.path.stem}") as remote:
        feeds = [model.feed(1 + seed % 4, seed) for seed in range(40)]
        asked = [remote.submit(feed) for feed in feeds]  # at once, so that they share batches
        names = [output.name for output in here.get_outputs()]
        for feed, future in zip(feeds, asked, strict=True):
            for name, ours in zip(names, here.run(names, feed), strict=True):
                away = np.abs(future.result()[name] - ours).max() / np.abs(ours).max()
                largest = max(largest, float(away))
    return largest


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of repetitions and its error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def draw_load(run: Run[Scale], models: Sequence[Model], results: Sequence[Result]) -> None:
    """Draw throughput, p99 and CPU time against clients, and list all."""
    report, by_name = run.report, {(r.subject, r.quantity): r for r in results}
    report.add_heading("Clients and batches")
    for quantity, label, limit in (
        (THROUGHPUT, "Events a second", None),
        (P99, "Latency, 99% of the requests [ms]", LIMIT),
        (CPU, "CPU time of the server a request [ms]", None),
    ):
        series = {
            f"{model.title}, {how}": [
                (clients, by_name[subject_of(model, clients, 1, how), quantity].estimate)
                for clients in run.scale.clients
            ]
            for model in models
            for how in ("batched", "not batched")
        }
        report.add_figure(
            against_clients(series, label, limit=limit),
            f"{label}, one event a request, with batches across requests and without.",
        )
    report.add_results(results, "Mean and error of the repetitions.")


def event_loop_times(run: Run[Scale], model: Model) -> dict[str, list[float]]:
    """Return the wall time of an event [ms] of each loop, a list over the repetitions."""
    here = session(model.path.read_bytes(), threads=1)
    feeds = [model.feed(1, seed) for seed in range(run.scale.loop)]
    begin = time.perf_counter()
    for feed in feeds[:50]:
        here.run(None, feed)
    block = bytes(1 << 16)
    work = 2 * (time.perf_counter() - begin) / min(50, len(feeds))  # seconds of an event
    begin = time.perf_counter()
    for _ in range(50):
        hashlib.blake2b(block)
    times = max(1, round(work * 50 / (time.perf_counter() - begin)))

    def rest() -> None:  # work of another kind, without Python's lock
        for _ in range(times):
            hashlib.blake2b(block)

    found: dict[str, list[float]] = {}
    with served({"model": model.path}) as server, RemoteModel(f"{server.grpc}/model") as remote:
        loops: dict[str, Callable[[Feed], Any]] = {
            "": lambda feed: None,
            LOCAL: lambda feed: here.run(None, feed),
            WAITING: lambda feed: remote.submit(feed).result(),
            ASYNCHRONOUS: remote.submit,
        }
        remote.submit(feeds[0]).result()
        for _ in range(run.scale.repetitions):
            for name, infer in loops.items():
                begin = time.perf_counter()
                answers = []
                for feed in feeds:
                    answers.append(infer(feed))
                    rest()
                if name == ASYNCHRONOUS:
                    answers = [future.result() for future in answers]
                wall = 1e3 * (time.perf_counter() - begin) / len(feeds)
                found.setdefault(name, []).append(wall)
    return found


def add_loops(run: Run[Scale], model: Model, loops: Mapping[str, Sequence[float]]) -> None:
    """Draw and list the event loops."""
    walls = {name: np.array(values) for name, values in loops.items()}
    bare = walls.pop("")
    run.report.add_figure(
        event_loops({n: Value(*spread(w)) for n, w in walls.items()}, Value(*spread(bare))),
        f"An event of work and of {model.title}: in the loop, on a server waiting for the answer,"
        " and on a server while the loop goes on.",
    )
    rows = [
        Result(name, quantity, *spread(wall / other))  # in turn, so each with its neighbour
        for name, wall in walls.items()
        for quantity, other in ((OVER_BARE, bare), (OVER_LOCAL, walls[LOCAL]))
        if not (name == LOCAL and quantity == OVER_LOCAL)
    ]
    run.report.add_results(rows, "Ratios of neighbouring repetitions, with the error of the mean.")


def on_gpu(run: Run[Scale], name: str, fitted: Tagger) -> list[Value]:
    """Return jets a second on a GPU over those of one CPU core, of each repetition."""
    inputs = fitted.inputs(ragged_jets(4_096, seed=3))
    data = Dataset(inputs, torch.zeros(len(inputs)), torch.ones(len(inputs)))

    def seconds(device: str) -> float:
        fitted.model_.to(device)
        predict(fitted.model_, data, 1_024)
        begin = time.perf_counter()
        predict(fitted.model_, data, 1_024)  # ends with the answers on the host
        return time.perf_counter() - begin

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = [(seconds("cpu"), seconds("cuda")) for _ in range(run.scale.repetitions)]
    finally:
        torch.set_num_threads(threads)
        fitted.model_.to("cpu")
    return [Value(cpu / gpu, 0.0) for cpu, gpu in times]


def aims(scale: Scale) -> Sequence[Aim]:
    """Return what is asked; of a GPU where there is one."""
    return (*AIMS, *ON_GPU) if torch.cuda.is_available() else AIMS


STUDY = Study(
    *("inference-service", "Inference as a service", SUMMARY, SCALES, inference_service),
    aims=aims,
    events="{requests} requests of jets and {showers} of showers a measurement, {loop} events in a"
    " loop",
    stand_in="servers with GPUs, and the jets and showers of CMS",
)
