"""Inference as a service: what batching saves, what asynchronous calls hide, what a server costs.

The claims of SONIC (2007.10359, 2009.04509, 2402.15366), one by one, on one node.
"""

from collections.abc import Callable, Mapping, Sequence
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
from colliderkit.methods.simulation.surrogate import VOXELS, ShowerSurrogate
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.value import Value
from colliderkit.report.results import Result
from colliderkit.report.service import against_clients, loop_times
from colliderkit.report.verdict import Aim
from colliderkit.serve.latency import gpu_gains
from colliderkit.serve.load import (
    ASYNCHRONOUS,
    BARE,
    BATCHED,
    CPU,
    EQUAL,
    LOCAL,
    P99,
    SINGLE,
    THROUGHPUT,
    event_loops,
    measured,
    named,
)
from colliderkit.serve.onnx import export_method
from colliderkit.serve.showers import export_surrogate
from colliderkit.sources.geant4 import gflash
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.toys.jets import ragged_jets
from colliderkit.studies.run import Run, Study
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
SAVED = "CPU, not batched over batched"
OVER_BARE = "wall time over a loop without inference"
OVER_LOCAL = "wall time over inference in the loop"
GPU = "GPU over one CPU core"
LIMIT = 100.0  # ms
ENERGIES = (1_000.0, 50_000.0)  # MeV, of the showers
# Of the diffusion in each calorimeter: the network, its options, and steps of the sampler.
NETWORKS: dict[str, tuple[str, dict[str, Any], int]] = {
    "smoke": ("ring-mixer", {"width": 8, "depth": 1}, 2),
    "photons-368": ("ring-mixer", {"width": 32, "depth": 2}, 8),
    "electrons-6480": ("u-net", {}, 8),
}
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
    jets, training = ragged_jets(scale.train, seed=1), Training(epochs=1, batch_size=100, devices=1)
    taggers = {
        name: run.fitted(TITLES[name], Tagger(name, training=training), jets, progress=False)
        for name in scale.networks
    }
    models = [of_jets(run, name, fitted) for name, fitted in taggers.items()]
    models.append(of_showers(run))
    results: list[Result] = []
    for model in models:
        results += run_load(run, model)
    draw_load(run, models, results)
    report.add_heading("Event loops")
    heaviest = models[-2]  # of those of jets
    feeds = [heaviest.feed(1, seed) for seed in range(scale.loop)]
    loops = run.value(
        "event loops", lambda: event_loops(heaviest.path, feeds, repetitions=scale.repetitions)
    )
    add_loops(run, heaviest, loops)
    if torch.cuda.is_available():
        report.add_heading("On a GPU")
        many = ragged_jets(4_096, seed=3)
        rows = [
            Result(TITLES[n], GPU, *spread(gpu_gains(t.model_, t.inputs(many), scale.repetitions)))
            for n, t in taggers.items()
        ]
        report.add_results(rows, "Jets a second in batches of 1,024, over those of one CPU core.")


def of_jets(run: Run[Scale], name: str, fitted: Tagger) -> Model:
    """Export a tagger; it is asked jets of 10 to 60 particles."""
    jets = ragged_jets(2_000, seed=2)
    path = run.file(f"{name}.onnx", partial(export_method, fitted, events=jets[:256]))
    inputs = fitted.inputs(jets)
    assert isinstance(inputs, Ragged)

    def feed(rows: int, seed: int) -> Feed:
        chosen = torch.randint(len(inputs), (rows,), generator=torch.Generator().manual_seed(seed))
        return {"constituents": inputs.padded(chosen)[0].numpy()}

    return Model(TITLES[name], path, feed, run.scale.requests)


def of_showers(run: Run[Scale]) -> Model:
    """Export a diffusion surrogate, as CaloDiffusion is; it is asked showers of 1 to 50 GeV."""
    network, options, steps = NETWORKS[run.scale.calorimeter]
    geometry, train = showers(run.scale)
    surrogate = ShowerSurrogate(
        options={"steps": steps},
        network=network,
        network_options=options,
        layer_generator=None,
        voxels=replace(VOXELS, epochs=1, batch_size=100),
    )
    fitted = run.fitted(CALO, surrogate, train, geometry)
    path = run.file("calo-diffusion.onnx", partial(export_surrogate, fitted))

    def feed(rows: int, seed: int) -> Feed:
        random = np.random.default_rng(seed)
        noise = random.normal(size=(rows, fitted.noise_size))
        low, high = ENERGIES
        energy = low * (high / low) ** random.random((rows, 1))
        return {"noise": noise.astype(np.float32), "incident": energy.astype(np.float32)}

    return Model(CALO, path, feed, run.scale.showers)


def showers(scale: Scale) -> tuple[Geometry, Showers]:
    """Return a calorimeter, and showers in it by parametrisation."""
    energy = np.random.default_rng(1).permutation(np.geomspace(*ENERGIES, scale.train))
    if scale.calorimeter == "smoke":
        geometry = Geometry.regular("smoke", 3, 4, (0, 5, 15, 40), 11)
        medium, ends = gflash.TUNGSTEN_SILICON, np.array([0.0, 25.0, 45.0, 76.0])
    else:
        given = calorimeter(scale.calorimeter)
        geometry, (medium, ends, _) = given.geometry, gflash.effective_medium(given)
    drawn = gflash.showers(energy, geometry, medium, seed=1, depths=ends)
    return geometry, Showers.checked(energy, drawn)


def run_load(run: Run[Scale], model: Model) -> list[Result]:
    """Load servers of a model, one that batches and one that does not, with clients."""
    scale = run.scale
    asked = [(clients, rows) for clients in scale.clients for rows in scale.rows]
    measure = partial(measured, model.path, model.feed, asked, model.requests, scale.repetitions)
    found: dict[str, Any] = run.value(f"load of {model.title}", measure)
    results = [Result(model.title, EQUAL, found.pop(EQUAL), 0.0)]
    for name, figures in found.items():
        subject = f"{model.title}, {name}"
        results += [Result(subject, quantity, *spread(each)) for quantity, each in figures.items()]
    clients = max(scale.clients)
    one, other = (np.array(found[named(clients, 1, how)][CPU]) for how in (SINGLE, BATCHED))
    results.append(Result(f"{model.title}, {clients} clients", SAVED, *spread(one / other)))
    return results


def spread(values: Sequence[float] | NDArray[Any]) -> tuple[float, float]:
    """Return the mean of repetitions and its error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def draw_load(run: Run[Scale], models: Sequence[Model], results: Sequence[Result]) -> None:
    """Draw throughput, p99 and CPU time against clients, and list all."""
    report, by_name = run.report, {(r.subject, r.quantity): r for r in results}
    report.add_heading("Clients and batches")
    for quantity, label, limit in (
        (THROUGHPUT, "Events a second", None),
        (P99, "99% of the latencies [ms]", LIMIT),
        (CPU, "Server CPU a request [ms]", None),
    ):
        series = {
            f"{model.title}, {how}": [
                (clients, by_name[f"{model.title}, {named(clients, 1, how)}", quantity].estimate)
                for clients in run.scale.clients
            ]
            for model in models
            for how in (BATCHED, SINGLE)
        }
        report.add_figure(
            against_clients(series, label, limit=limit),
            f"{label}, one event a request, with batches across requests and without.",
        )
    report.add_results(results, "Mean and error of the repetitions.")


def add_loops(run: Run[Scale], model: Model, loops: Mapping[str, Sequence[float]]) -> None:
    """Draw and list the event loops."""
    walls = {name: np.array(values) for name, values in loops.items()}
    bare = walls.pop(BARE)
    run.report.add_figure(
        loop_times({n: Value(*spread(w)) for n, w in walls.items()}, Value(*spread(bare))),
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


STUDY = Study(
    *("inference-service", "Inference as a service", SUMMARY, SCALES, inference_service),
    aims=lambda _: (*AIMS, *ON_GPU) if torch.cuda.is_available() else AIMS,
    events="{requests} requests of jets and {showers} of showers a measurement, {loop} events in a"
    " loop",
    stand_in="servers with GPUs, and the jets and showers of CMS",
)
