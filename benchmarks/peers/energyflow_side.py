"""energyflow's side: its PFN, trained by Keras as its examples do.

Run inside energyflow's environment (see environments.py); prints one JSON line.
"""

import argparse
import json
import resource
import time
from importlib.metadata import version

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf
import tf_keras
from energyflow.archs import PFN
from tf_keras.optimizers import Adam


def inputs(file):
    """Read jets into (N, longest, 3) of z, y - y_jet, phi - phi_jet and one-hot labels."""
    table = pq.read_table(file, columns=["constituents", "label"])
    label = table["label"].to_numpy()
    lists = table["constituents"].combine_chunks()
    offsets = lists.offsets.to_numpy()
    records = lists.flatten()
    px, py, pz, energy = (
        records.field(name).to_numpy().astype("float64") for name in ("px", "py", "pz", "E")
    )
    lengths = np.diff(offsets)
    jet = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(jet)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    pt = np.hypot(px, py)
    mass2 = np.maximum(energy**2 - px**2 - py**2 - pz**2, 0)
    y = np.arcsinh(pz / np.sqrt(pt**2 + mass2))
    phi = np.arctan2(py, px)
    first = phi[offsets[:-1] - offsets[0]]
    phi = (phi - first[jet] + np.pi) % (2 * np.pi) - np.pi
    z = pt / np.bincount(jet, pt)[jet]
    values = np.zeros((len(lengths), lengths.max(), 3), dtype="float32")
    values[jet, place, 0] = z
    values[jet, place, 1] = y - np.bincount(jet, z * y)[jet]
    values[jet, place, 2] = phi - np.bincount(jet, z * phi)[jet]
    return values, np.eye(2, dtype="float32")[label], label


def network(rate):
    return PFN(
        input_dim=3,
        Phi_sizes=(100, 100, 256),
        F_sizes=(100, 100, 100),
        output_dim=2,
        optimizer=Adam(learning_rate=rate, epsilon=1e-7),
        summary=False,
    )


def train(options):
    """Time epochs after a first one, in which Keras traces its graph."""
    x, target, _ = inputs(options.file)
    model = network(options.rate)
    model.fit(x, target, epochs=1, batch_size=options.batch, verbose=0)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(x, target, epochs=options.epochs, batch_size=options.batch, verbose=0)
    return {"jets": len(x) * options.epochs, **elapsed(wall, cpu)}


def fit(options):
    """Train for some epochs and save the scores of the test jets."""
    x, target, _ = inputs(options.file)
    model = network(options.rate)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(x, target, epochs=options.epochs, batch_size=options.batch, verbose=0)
    time_taken = elapsed(wall, cpu)
    x, _, label = inputs(options.test)
    score = model.predict(x, batch_size=1000, verbose=0)[:, 1]
    np.savez(options.scores, label=label, score=score)
    return {**time_taken, "parameters": int(model.model.count_params())}


def elapsed(wall, cpu):
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["train", "fit"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--network", choices=["pfn"], default="pfn")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test")
    parser.add_argument("--scores")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf_keras.utils.set_random_seed(options.seed)
    answer = {"train": train, "fit": fit}[options.verb](options)
    answer["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    packages = ("energyflow", "tensorflow-cpu", "tf-keras", "numpy")
    answer["versions"] = {name: version(name) for name in packages}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
