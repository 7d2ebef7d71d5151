"""jetnet's FPD and KPD on given tables, with the parameters of the CaloChallenge.

Run inside jetnet's environment (see environments.py); prints one JSON line.
"""

import argparse
import json
import resource
import time
import warnings
from importlib.metadata import version

import numpy as np
from jetnet.evaluation import fpd, kpd


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["distances"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    given = np.load(options.file)
    x, y = given["reference"], given["sample"]
    warnings.simplefilter("ignore")
    measures = {
        "FPD": lambda a, b: fpd(a, b, min_samples=10_000, max_samples=50_000),
        "KPD": lambda a, b: kpd(a, b, num_batches=10, batch_size=10_000),
    }
    kpd(x[:100], y[:100], num_batches=1, batch_size=50)
    answer = {"versions": {name: version(name) for name in ("jetnet", "numpy", "scipy")}}
    for name, measure in measures.items():
        wall, cpu = time.perf_counter(), time.process_time()
        answer[name] = [float(value) for value in measure(x, y)]
        answer[f"{name}_wall_s"] = time.perf_counter() - wall
        answer[f"{name}_cpu_s"] = time.process_time() - cpu
    answer["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
