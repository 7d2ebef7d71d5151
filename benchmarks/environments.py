"""Set up the peers that ColliderKit is measured against, each in an environment of its own.

    python benchmarks/environments.py --folder PEERS

makes PEERS/weaver and PEERS/energyflow (about 4 GB, some minutes). Nothing of theirs is
imported by the package.
"""

import argparse
import subprocess
import venv
from pathlib import Path

# tabulate: weaver imports it without declaring it. tf-keras, pyarrow: the same of energyflow,
# or of our side script; versions that go with numpy 1, which energyflow 1.4.0 needs.
PEERS = {
    "weaver": ["weaver-core==0.5.3", "torch==2.13.0", "tabulate"],
    "energyflow": [
        "energyflow==1.4.0",
        "tensorflow-cpu==2.21.0",
        "tf-keras==2.21.0",
        "numpy<2",
        "pyarrow==19.0.1",
    ],
    "hep_ml": ["hep_ml==0.8.0", "setuptools<81"],
    "pyunfold": ["PyUnfold==0.5.0"],
    # jetnet 0.2.5 and what it imports were written for numpy 1.
    "jetnet": ["jetnet==0.2.5", "numpy<2", "pyarrow<20"],
    # Keras 2 is what omnifold 0.1.36 was written for.
    "omnifold": ["omnifold==0.1.36", "tensorflow-cpu==2.15.1", "numpy<2"],
    # The server's wheel, for glibc >= 2.35; numpy 2 would garble its inputs without an error.
    "triton": ["nvidia-pytriton==0.7.0", "numpy==1.26.4", "onnxruntime"],
    "coffea": ["coffea==2026.9.0", "tritonclient[grpc,http]==2.73.0"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    for peer, packages in PEERS.items():
        python = folder / peer / "bin" / "python"
        if not python.exists():
            venv.create(folder / peer, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        print(f"{peer}: {python}")


if __name__ == "__main__":
    main()
