"""What every method shares: parameters, a folder to save to, and loading that executes nothing."""

import hashlib
import json
import platform
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, ClassVar, Self

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.base import BaseEstimator
from torch import Tensor

import colliderkit
from colliderkit.errors import InputError
from colliderkit.files import atomic_folder

__all__ = ["FORMAT", "Method", "load", "saved_name", "versions"]

# The number of the saved layout; raised when a folder of before can no longer be read.
FORMAT = 1
WEIGHTS = "weights.safetensors"
DESCRIPTION = "method.json"


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    names = ("numpy", "torch", "lightning", "awkward", "fastjet", "pythia8mc", "scikit-learn")
    found = {"colliderkit": colliderkit.__version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Method(BaseEstimator):
    """Answer one physics question: constructor arguments, ``fit``, then a verb.

    A subclass stores its constructor's arguments unchanged, and gives `_tensors` and `_state`
    (what fit learned, as tensors and as JSON) and `_restore` (the way back). Arguments must be
    JSON values or have a plain form through `_parameters` and `_from_parameters`, as `training`
    has here.
    """

    name: ClassVar[str]

    def _tensors(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        raise NotImplementedError

    def _parameters(self) -> dict[str, Any]:
        parameters = self.get_params(deep=False)
        if "training" in parameters:
            parameters["training"] = asdict(parameters["training"])
        return parameters

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        if "training" in parameters:
            from colliderkit.training.settings import Training

            parameters = {**parameters, "training": Training(**parameters["training"])}
        return cls(**parameters)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write weights (safetensors), arguments, state and versions to `folder`, whole or not."""
        weights = save_tensors(
            {k: v.detach().contiguous().cpu() for k, v in self._tensors().items()}
        )
        description = {
            "format": FORMAT,
            "method": self.name,
            "parameters": self._parameters(),
            "state": self._state(),
            "sha256": hashlib.sha256(weights).hexdigest(),
            "versions": versions(),
        }
        with atomic_folder(folder, force) as part:
            (part / WEIGHTS).write_bytes(weights)
            (part / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a method saved by `save`; raise `InputError` where the folder cannot be trusted.

        Nothing is unpickled or executed: JSON and safetensors alone are read. The weights must
        have the checksum that the description names.
        """
        folder = Path(folder)
        path = folder / DESCRIPTION
        if not path.is_file():
            raise InputError(f"{folder}: holds no {DESCRIPTION}; give a folder written by fit.")
        try:
            description = json.loads(path.read_text())
            saved, name = description["format"], description["method"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: damaged ({error}); fit again or copy it anew.") from error
        if saved != FORMAT:
            raise InputError(
                f"{path}: saved in format {saved}, this version reads format {FORMAT};"
                f" fit again or install the version {description.get('versions')}."
            )
        if name != cls.name:
            raise InputError(f"{path}: holds the method '{name}', not '{cls.name}'.")
        try:
            weights = (folder / WEIGHTS).read_bytes()
        except OSError as error:
            raise InputError(f"{folder / WEIGHTS}: not readable ({error.strerror}).") from error
        if hashlib.sha256(weights).hexdigest() != description["sha256"]:
            raise InputError(
                f"{folder / WEIGHTS}: is not the file that {DESCRIPTION} describes (its checksum"
                " differs); copy the folder again from where it was fitted."
            )
        try:
            method = cls._from_parameters(description["parameters"])
            method._restore(load_tensors(weights), description["state"])
        except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: weights and description do not fit ({error}).") from error
        return method


def saved_name(folder: str | Path) -> str:
    """Return the name of the method that `folder` holds; raise `InputError` if it holds none."""
    from colliderkit.methods import METHODS

    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{folder}: holds no {DESCRIPTION}; give a folder written by fit.")
    try:
        name = str(json.loads(path.read_text())["method"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); fit again or copy it anew.") from error
    if name not in METHODS:
        raise InputError(f"{path}: unknown method '{name}'; known are {', '.join(METHODS)}.")
    return name


def load(folder: str | Path) -> Any:
    """Load whichever method `folder` holds."""
    from colliderkit.methods import METHODS

    module, attribute = METHODS[saved_name(folder)].split(":")
    return getattr(import_module(module), attribute).load(folder)
