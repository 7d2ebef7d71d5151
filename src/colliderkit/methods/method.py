"""What every method shares: parameters, what fit learned, a folder to save to, safe loading."""

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_type_hints

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.base import BaseEstimator

import colliderkit
from colliderkit.claims import claim, content, first_process
from colliderkit.errors import InputError
from colliderkit.files import atomic_folder
from colliderkit.methods.state import (
    JSON,
    Tensors,
    attributes,
    decode,
    encode,
    holds_module,
    restore_modules,
)
from colliderkit.ranges import check

__all__ = ["FORMAT", "Method", "NotFitted", "load", "saved_name", "versions"]

# The number of the saved layout; raised when a folder of before can no longer be read.
FORMAT = 2
WEIGHTS = "weights.safetensors"
DESCRIPTION = "method.json"
REQUEST = "fit.json"  # in the folder of the checkpoints: what they are of
LONGEST = 1 << 28  # bytes of a description


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    names = ("numpy", "torch", "lightning", "awkward", "fastjet", "pythia8mc", "scikit-learn")
    installed = {"colliderkit": colliderkit.__version__, "python": platform.python_version()}
    for name in names:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


class NotFitted(InputError, AttributeError):
    """What `fit` sets is asked for before it; `hasattr` sees that it is not there."""


class Method(BaseEstimator):
    """Answer one physics question: constructor arguments, ``fit``, then a verb.

    A subclass

    - stores its constructor's arguments unchanged; they are JSON values, dataclasses or methods;
    - declares what `fit` learns as annotated class attributes whose names end in "_", such as
      ``range_: Floats``: arrays, tensors, modules, dataclasses, methods and JSON values, in lists
      and dictionaries. The base saves and restores them by these types, and asking for one before
      `fit` raises `NotFitted`, so that no verb has to check;
    - makes the modules among them, with their shapes and without their weights, in `_rebuild`;
    - begins its `fit` with `_begin`, which is told the data where checkpoints are kept.

    `fit` of every method ends in ``*, weight=None, seed=0, folder=None, resume=False,
    progress=True``: event weights, the seed of all that is random, the folder of checkpoints and
    whether to go on from the last of them, and whether to show a bar. What a method cannot honour
    it refuses with a reason.
    """

    name: ClassVar[str]
    resumable: ClassVar[bool] = False  # whether fit keeps checkpoints in a folder
    extended: ClassVar[tuple[str, ...]] = ()  # arguments that a resumed fit may have more of

    seed_: int

    if not TYPE_CHECKING:  # for mypy an attribute that is not declared stays an error

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if name in attributes(kind):
                raise NotFitted(f"{kind.__name__} is not fitted; call fit, or load a fitted one.")
            if isinstance(computed := getattr(kind, name, None), property):
                return computed.__get__(self)  # raises again what it raised: Python hides it here
            raise AttributeError(f"'{kind.__name__}' object has no attribute '{name}'")

    def _begin(
        self, *, seed: int, folder: str | Path | None = None, resume: bool = False, **data: Any
    ) -> None:
        """Check what all `fit`s take alike, and forget what an earlier one learned.

        A folder of checkpoints is bound to the arguments, the seed and the `data` by name: raises
        `InputError` where it is to be resumed with others. Without `resume` what an earlier fit
        kept there is dropped.
        """
        check({"seed": seed, **self.get_params(deep=False)}, owner=type(self).__name__)
        if not self.resumable and (folder is not None or resume):
            raise InputError(
                f"{type(self).__name__} keeps no checkpoints, its fit is short; leave out folder"
                " and resume."
            )
        if resume and folder is None:
            raise InputError("resume goes on from the checkpoints in a folder; name the folder.")
        if folder is not None and first_process():
            claim(
                Path(folder),
                self._request(seed, data),
                REQUEST,
                way_out="remove the folder or fit without resume to drop it",
                anew=not resume,
            )
        for name in attributes(type(self)):
            self.__dict__.pop(name, None)
        self.seed_ = seed

    def _request(self, seed: int, data: dict[str, Any]) -> dict[str, JSON]:
        """Return what decides a fit as JSON: arguments, seed, and checksums of the data."""
        request: dict[str, JSON] = {"method": self.name, "seed": seed}
        for name, value in self.get_params(deep=False).items():
            if name in self.extended:
                continue
            tensors: Tensors = {}
            try:
                request[name] = encode(value, tensors, name)
            except TypeError:  # a function among it
                request[name] = type(value).__name__
            if tensors:
                request[name] = [request[name], content(tensors)]
        # Chunks can be read once alone; who reads them binds them.
        known = {name: value for name, value in data.items() if not isinstance(value, Iterator)}
        return request | {f"the {name}": content(value) for name, value in known.items()}

    def _rebuild(self) -> None:
        """Make the modules that `fit` sets, of the right shapes; all else is restored already."""

    def _parameters(self) -> dict[str, JSON]:
        """Return the constructor's arguments as JSON, without what a method among them learned."""
        encoded: dict[str, JSON] = encode(self.get_params(deep=False), {}, "")
        return encoded

    def _described(self, tensors: Tensors, prefix: str = "") -> dict[str, JSON]:
        """Return arguments and fitted attributes as JSON; arrays and weights go to `tensors`."""
        names = [name for name in attributes(type(self)) if name in self.__dict__]
        arguments = self.get_params(deep=False)
        return {
            "parameters": {n: encode(v, tensors, f"{prefix}{n}") for n, v in arguments.items()},
            "fitted": {n: encode(self.__dict__[n], tensors, f"{prefix}{n}") for n in names},
        }

    @classmethod
    def _restored(cls, description: dict[str, JSON], tensors: Tensors) -> Self:
        """Return the method that `_described` wrote."""
        hints = get_type_hints(cls.__init__)
        parameters = description["parameters"]
        method = cls(**{n: decode(v, hints[n], tensors) for n, v in parameters.items()})
        check(method.get_params(deep=False), owner=cls.__name__)
        hints = get_type_hints(cls)
        fitted = description["fitted"]
        modules = [name for name, value in fitted.items() if holds_module(value)]
        for name, value in fitted.items():
            if name not in attributes(cls):
                raise KeyError(f"{cls.__name__} has no fitted attribute {name}")
            if name not in modules:
                setattr(method, name, decode(value, hints[name], tensors))
        if fitted:  # an argument that is a method is not
            method._rebuild()
        for name in modules:
            restore_modules(getattr(method, name), fitted[name], tensors)
        return method

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write weights (safetensors), arguments, state and versions to `folder`, whole or not."""
        if set(self.__dict__) & set(attributes(type(self))) <= {"seed_"}:
            raise NotFitted(f"{type(self).__name__} is not fitted; call fit, or load a fitted one.")
        tensors: Tensors = {}
        described = self._described(tensors)
        weights = save_tensors(tensors)
        description = {
            "format": FORMAT,
            "method": self.name,
            **described,
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
        description = _description(folder)
        if description["method"] != cls.name:
            raise InputError(
                f"{folder / DESCRIPTION}: holds the method '{description['method']}', not"
                f" '{cls.name}'."
            )
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
            return cls._restored(description, load_tensors(weights))
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error
        # A description that was written by anyone can fail anywhere.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{folder}: weights and description do not fit ({reason}).") from error


def _description(folder: Path) -> dict[str, JSON]:
    """Read what a saved folder says of itself; raise `InputError` where it is not to be read."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{folder}: holds no {DESCRIPTION}; give a folder written by fit.")
    if path.stat().st_size > LONGEST:
        raise InputError(f"{path}: is larger than any description; fit again or copy it anew.")
    try:
        description: dict[str, JSON] = json.loads(path.read_text(encoding="utf-8"))
        saved = description["format"]
        missing = {"method", "parameters", "fitted", "sha256"} - set(description)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); fit again or copy it anew.") from error
    if saved != FORMAT:
        raise InputError(
            f"{path}: saved in format {saved}, this version reads format {FORMAT};"
            f" fit again or install the version {description.get('versions')}."
        )
    if missing:
        raise InputError(
            f"{path}: damaged (it has no {', '.join(sorted(missing))}); fit again or copy it anew."
        )
    return description


def saved_name(folder: str | Path) -> str:
    """Return the name of the method that `folder` holds; raise `InputError` if it holds none."""
    from colliderkit.methods import METHODS

    name = str(_description(Path(folder))["method"])
    if name not in METHODS:
        raise InputError(
            f"{Path(folder) / DESCRIPTION}: unknown method '{name}'; load it with the version of"
            " colliderkit that saved it, or fit again."
        )
    return name


def load(folder: str | Path) -> Any:
    """Load whichever method `folder` holds."""
    from colliderkit.methods import METHODS

    return METHODS.load(saved_name(folder)).load(folder)
