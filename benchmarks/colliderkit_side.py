"""ColliderKit's side, through its public interface; prints one JSON line."""

import argparse
import json
import resource
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import FOURVECTOR, labels_of
from colliderkit.events.sets import LOG_FEATURES, RELATIVE_FEATURES, ParticleSet
from colliderkit.losses.classification import cross_entropy
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.sources import read
from colliderkit.training.batches import Batches, Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Training

NAMES = tuple(f"constituents.{name}" for name in FOURVECTOR)
# weaver pads to 128 and drops what is beyond; energyflow keeps all.
LONGEST = {"particle-net": 128, "particle-transformer": 128, "pfn": None}


def dataset(file: str) -> Dataset:
    jets = read(file, columns=[*NAMES, "label"])
    inputs = Ragged.from_awkward(jets["constituents"], FOURVECTOR)
    return Dataset(inputs, torch.tensor(labels_of(jets)), torch.ones(len(jets)))


def model_named(name: str) -> Model:
    features = RELATIVE_FEATURES if name == "pfn" else LOG_FEATURES
    representation = ParticleSet(FOURVECTOR, features)
    return Model(representation, NETWORKS.build(name, inputs=representation.size, outputs=2))


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Time a whole training: features, Lightning, checkpoints and all."""
    data = dataset(options.file)
    few = data.at(torch.arange(2))
    settings = Training(
        epochs=options.epochs,
        batch_size=options.batch,
        weight_decay=0.01,
        schedule="constant",
        devices=1,
        longest=LONGEST[options.network],
    )
    model = model_named(options.network)

    def once(data: Dataset, settings: Training) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(model, cross_entropy, data, few, settings, folder=Path(folder), progress=False)

    warm = data.at(torch.arange(min(len(data), 6 * options.batch)))
    once(warm, replace(settings, epochs=1))
    start = clock()
    once(data, settings)
    return {"jets": len(data) * options.epochs, **since(start), "parameters": parameters(model)}


def load(options: argparse.Namespace) -> dict[str, Any]:
    """Time from the file to shuffled batches with features computed, on a second pass."""
    represent = ParticleSet(FOURVECTOR, LOG_FEATURES)

    @torch.inference_mode()
    def once() -> int:
        seen = 0
        for batch in Batches(dataset(options.file), options.batch, longest=128):
            represent(batch.values, batch.mask)
            seen += len(batch)
        return seen

    once()
    start = clock()
    return {"jets": once(), **since(start)}


def learn(options: argparse.Namespace) -> dict[str, Any]:
    """Train for some epochs as the peers do, keep the last weights, save the test scores."""
    data, longest = dataset(options.file), LONGEST[options.network]
    model = model_named(options.network)
    optimiser: torch.optim.Optimizer
    if options.network == "pfn":
        optimiser = torch.optim.Adam(model.parameters(), options.rate, eps=1e-7)
    else:
        optimiser = torch.optim.AdamW(model.parameters(), options.rate, weight_decay=options.decay)
    batches = Batches(data, options.batch, seed=options.seed, longest=longest)
    start = clock()
    model.train()
    for epoch in range(options.epochs):
        batches.set_epoch(epoch)
        for batch in batches:
            optimiser.zero_grad()
            cross_entropy(model(batch.values, batch.mask), batch.target, batch.weight).backward()
            optimiser.step()
    taken = since(start)
    test = dataset(options.test)
    score = predict(model, test).softmax(1)[:, 1]
    np.savez(options.scores, label=test.target.numpy(), score=score.numpy())
    return {**taken, "parameters": parameters(model)}


def unfold(options: argparse.Namespace) -> dict[str, Any]:
    """Time OmniFold on tables as it comes, but for the iterations, epochs and batch size."""
    from colliderkit.methods.unfolding.omnifold import OmniFold

    given = np.load(options.file)
    method = OmniFold(iterations=options.iterations)
    method.training = replace(method.training, epochs=options.epochs, batch_size=options.batch)
    passed = {name: given[name] for name in ("pass_reco", "pass_truth")}
    start = clock()
    method.fit(given["data"], given["reco"], given["truth"], **passed, seed=options.seed)
    taken = since(start)
    np.save(options.found, method.weights())
    return taken


def distances(options: argparse.Namespace) -> dict[str, Any]:
    """Time FPD and KPD on tables, with the parameters of the CaloChallenge."""
    from colliderkit.metrics.generative import frechet_physics_distance, kernel_physics_distance

    given = np.load(options.file)
    x, y = given["reference"], given["sample"]
    answer: dict[str, Any] = {}
    kernel_physics_distance(x[:100], y[:100], batches=1, size=50)
    for name, measure in (
        ("FPD", lambda: frechet_physics_distance(x, y, fewest=10_000)),
        ("KPD", lambda: kernel_physics_distance(x, y, size=10_000)),
    ):
        start = clock()
        value = measure()
        answer |= {f"{name}_{key}": seconds for key, seconds in since(start).items()}
        answer[name] = [value.value, value.error]
    return answer


def shower_test(options: argparse.Namespace) -> dict[str, Any]:
    """Time all figures of two files of showers through the command line."""
    from colliderkit.cli import main as command

    start = clock()
    argv = ["evaluate", "showers", "--showers", options.file, "--sample", options.test]
    argv += ["--threshold", "0.015"]
    argv += ["--geometry", "electrons-6480", "--out", options.found, "--width", "2048"]
    argv += ["--classifier.epochs", str(options.epochs)]
    if command(argv):
        raise SystemExit("evaluate failed")
    return since(start)


def clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> dict[str, float]:
    wall, cpu = clock()
    return {"wall_s": wall - start[0], "cpu_s": cpu - start[1]}


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


VERBS = {
    "train": train,
    "load": load,
    "fit": learn,
    "unfold": unfold,
    "distances": distances,
    "showers": shower_test,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=list(VERBS))
    parser.add_argument("--file", required=True)
    parser.add_argument("--network", choices=list(LONGEST))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test")
    parser.add_argument("--scores")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--found")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    answer = VERBS[options.verb](options)
    answer["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    answer["versions"] = {name: version(name) for name in ("colliderkit", "torch", "numpy")}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
