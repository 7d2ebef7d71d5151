"""Measure a network's training and prediction rate and its peak memory.

    python benchmarks/network_speed.py particle-net [--jets FILE.parquet] [--batch 64] [--threads 2]

Batches are those of training: jets of similar length together. Without a file the jets are random,
with the lengths of particle-level top and QCD jets (66 particles on average, at most 187). Prints
jets/s of wall and of CPU time and the peak resident memory of the process.
"""

import argparse
import resource
import time
from itertools import islice

import awkward as ak
import numpy as np
import torch
from torch import nn

from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import CONSTITUENTS, FOURVECTOR
from colliderkit.events.sets import LOG_FEATURES, ParticleSet
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.training.batches import Batches, Dataset


def random_jets(count: int) -> ak.Array:
    """Draw jets with the number of particles of top and QCD jets at 550-650 GeV."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.gamma(9.0, 66 / 9, count).astype(np.int64), 4, 187)
    total = int(lengths.sum())
    pt = random.exponential(8.0, total) + 0.5
    eta, phi = random.normal(0, 0.25, (2, total))
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + 0.02)
    vectors = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "E": energy}
    return ak.unflatten(ak.zip(vectors), lengths)


def main() -> None:
    """Time steps of one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="a name of colliderkit.networks, for sets of particles")
    parser.add_argument("--jets", help="a Parquet file of jets")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.jets:
        constituents = ak.from_parquet(options.jets)[CONSTITUENTS]
    else:
        constituents = random_jets(20_000)
    inputs = Ragged.from_awkward(constituents, FOURVECTOR)
    count = len(inputs)
    data = Dataset(inputs, torch.arange(count) % 2, torch.ones(count))
    model = Model(
        ParticleSet(FOURVECTOR), NETWORKS.build(options.network, inputs=len(LOG_FEATURES))
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = nn.CrossEntropyLoss()
    warm = 3
    batches = list(islice(Batches(data, options.batch), options.steps + warm))
    for mode in ("training", "prediction"):
        model.train(mode == "training")
        seen, wall, cpu = 0, 0.0, 0.0
        for number, batch in enumerate(batches):
            start, start_cpu = time.perf_counter(), time.process_time()
            with torch.set_grad_enabled(mode == "training"):
                output = model(batch.values, batch.mask)
                if mode == "training":
                    optimiser.zero_grad()
                    loss(output, batch.target).backward()
                    optimiser.step()
            if number >= warm:
                seen += len(batch)
                wall += time.perf_counter() - start
                cpu += time.process_time() - start_cpu
        print(f"{options.network} {mode}: {seen / wall:.1f} jets/s, {seen / cpu:.1f} a CPU second")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    mean = float(inputs.lengths.double().mean())
    print(f"{options.network}: peak memory {peak:.2f} GB; {mean:.1f} particles a jet")


if __name__ == "__main__":
    main()
