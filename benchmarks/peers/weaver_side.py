"""weaver-core's side: its own networks, loader and data configuration.

Run inside weaver's environment (see environments.py); prints one JSON line.
"""

import argparse
import json
import resource
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from weaver.nn.model.ParticleNet import ParticleNet
from weaver.nn.model.ParticleTransformer import ParticleTransformer
from weaver.utils.dataset import SimpleIterDataset

HERE = Path(__file__).parent
WARMUP = 6  # weaver's networks trim padding from their sixth batch on


class Tagger(torch.nn.Module):
    """Give weaver's network the inputs of the data configuration, in its order."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        if name == "particle-net":
            blocks = [(16, (width,) * 3) for width in (64, 128, 256)]
            self.mod = ParticleNet(7, 2, blocks, [(256, 0.1)], use_fusion=False)
        else:
            self.mod = ParticleTransformer(7, 2)

    def forward(self, points, features, vectors, mask):
        if self.name == "particle-net":
            return self.mod(points, features, mask)
        return self.mod(features, vectors, mask)


def loader(file, batch, training, bucketing=False):
    config = HERE / f"top_qcd_{Path(file).suffix[1:]}.yaml"
    if bucketing:  # weaver's own option: batches of jets of similar length
        text = config.read_text().replace(
            "\nselection:", "\nbucketing: {var: part_count, bins: 8}\nselection:"
        )
        config = Path(file).with_name(f"bucketing_{config.name}")
        config.write_text(text)
    data = SimpleIterDataset(
        {"_": [str(file)]},
        str(config),
        batch_size=batch,
        for_training=training,
        fetch_step=1.0,
        async_load=False,
    )
    return DataLoader(data, batch_size=batch, drop_last=training, num_workers=0)


def steps(model, optimiser, batches):
    loss = torch.nn.CrossEntropyLoss()
    seen = 0
    for inputs, label, _ in batches:
        optimiser.zero_grad()
        target = label["_label_"].long()
        loss(model(*inputs.values()), target).backward()
        optimiser.step()
        seen += len(target)
    return seen


def train(options):
    """Time training steps alone: the batches are loaded and padded beforehand."""
    batches = list(loader(options.file, options.batch, True, options.bucketing))
    model = Tagger(options.network).train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    steps(model, optimiser, batches[:WARMUP])
    wall, cpu = time.perf_counter(), time.process_time()
    seen = steps(model, optimiser, batches)
    return {"jets": seen, **elapsed(wall, cpu), "parameters": parameters(model)}


def load(options):
    """Time from the file to batches with features computed; the first pass compiles numba."""
    for _ in loader(options.file, options.batch, True):
        pass
    wall, cpu = time.perf_counter(), time.process_time()
    seen = sum(len(label["_label_"]) for _, label, _ in loader(options.file, options.batch, True))
    return {"jets": seen, **elapsed(wall, cpu)}


def fit(options):
    """Train for some epochs and save the scores of the test jets."""
    model = Tagger(options.network)
    optimiser = torch.optim.AdamW(
        model.parameters(), options.rate, weight_decay=options.decay, eps=1e-8
    )
    wall, cpu = time.perf_counter(), time.process_time()
    for epoch in range(options.epochs):
        model.train()
        steps(model, optimiser, loader(options.file, options.batch, True))
        print(f"epoch {epoch} {time.perf_counter() - wall:.0f} s", flush=True)
    time_taken = elapsed(wall, cpu)
    model.eval()
    label, score = [], []
    with torch.no_grad():
        for inputs, target, _ in loader(options.test, 128, False):
            label.append(target["_label_"].numpy())
            score.append(model(*inputs.values()).softmax(1)[:, 1].numpy())
    np.savez(options.scores, label=np.concatenate(label), score=np.concatenate(score))
    return {**time_taken, "parameters": parameters(model)}


def elapsed(wall, cpu):
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["train", "load", "fit"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--network", choices=["particle-net", "particle-transformer"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bucketing", action="store_true")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test")
    parser.add_argument("--scores")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002 (weaver draws from it)
    answer = {"train": train, "load": load, "fit": fit}[options.verb](options)
    answer["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    answer["versions"] = {name: version(name) for name in ("weaver-core", "torch", "numpy")}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
