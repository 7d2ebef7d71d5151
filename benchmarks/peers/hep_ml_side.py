"""hep_ml's gradient-boosted reweighter and scikit-learn's perceptron on samples of two densities.

Run inside hep_ml's environment (see environments.py); prints one JSON line.
"""

import argparse
import json
import time
from importlib.metadata import version

import numpy as np
from hep_ml.reweight import GBReweighter
from sklearn.neural_network import MLPClassifier


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["ratio"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--scores", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    found, seconds = {}, {}
    samples = np.load(options.file)
    for name in sorted({key.split("/")[0] for key in samples.files}):
        x1, x0, test = (samples[f"{name}/{part}"] for part in ("numerator", "denominator", "test"))
        start = time.process_time()
        np.random.seed(options.seed)  # noqa: NPY002 (hep_ml draws from it)
        reweighter = GBReweighter()
        reweighter.fit(original=x0, target=x1)
        weight = reweighter.predict_weights(test)
        # Its weights are normalised at will: to mean 1 on p0, as those of a density ratio are.
        found[f"{name}/GBReweighter"] = weight / reweighter.predict_weights(x0).mean()
        seconds[f"{name}/GBReweighter"] = time.process_time() - start
        start = time.process_time()
        network = MLPClassifier(
            (64, 64, 64), batch_size=1024, early_stopping=True, random_state=options.seed
        )
        y = np.concatenate([np.ones(len(x1)), np.zeros(len(x0))])
        network.fit(np.concatenate([x1, x0]), y)
        p = network.predict_proba(test)
        found[f"{name}/MLP"] = p[:, 1] / p[:, 0]
        seconds[f"{name}/MLP"] = time.process_time() - start
    np.savez(options.scores, **found)
    versions = {name: version(name) for name in ("hep_ml", "scikit-learn", "numpy")}
    print(json.dumps({"seconds": seconds, "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
