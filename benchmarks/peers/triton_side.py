"""The real tritonserver of the wheel nvidia-pytriton, on a model repository, without a GPU.

Run inside its environment (see environments.py). Stops with SIGTERM. The wheel has the python
backend alone, whose interpreter is the first python of PATH; numpy 2 in it would give the model
empty tensors, without an error.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROTOCOLS = ("http", "grpc", "metrics")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repository", required=True)
    for name in PROTOCOLS:
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    site = Path(sysconfig.get_paths()["purelib"])
    server, libraries = site / "pytriton" / "tritonserver", site / "nvidia_pytriton.libs"
    with tempfile.TemporaryDirectory(prefix="tritonserver-") as folder:
        backend = Path(folder) / "python"
        shutil.copytree(server / "backends" / "python", backend)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy(stub, backend / "stub")
        script = backend / "triton_python_backend_stub"
        script.write_text(
            f"#!/bin/sh\nunset PYTHONHOME\nexport PATH={Path(sys.executable).parent}:$PATH\n"
            f'export LD_LIBRARY_PATH={libraries}\nexec {backend}/stub "$@"\n'
        )
        script.chmod(0o755)
        words = [server / "bin" / "tritonserver", f"--model-repository={options.repository}"]
        words += [f"--backend-directory={folder}", "--exit-on-error=true"]
        for name in PROTOCOLS:
            words += [f"--{name}-address=127.0.0.1", f"--{name}-port={getattr(options, name)}"]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        sys.exit(process.wait())


if __name__ == "__main__":
    main()
