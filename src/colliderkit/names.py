"""Registry: a dictionary of names to classes, which are imported when they are asked for."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from colliderkit.errors import InputError

__all__ = ["Registry"]


class Registry(Mapping[str, str]):
    """Map names to ``"module:attribute"``, and load or build what they stand for.

    >>> NETWORKS = Registry("network", {"mlp": "colliderkit.networks.mlp:MLP"})
    >>> NETWORKS.load("mlp")
    <class 'colliderkit.networks.mlp.MLP'>
    >>> NETWORKS.build("mlp", inputs=3, outputs=2, hidden=(8,))

    Args:
        noun: what the names are of, for messages: "network".
        entries: module and attribute by name.
        supplied: keywords of the constructors that the package gives, not the user.
    """

    def __init__(self, noun: str, entries: Mapping[str, str], supplied: Sequence[str] = ()) -> None:
        self.noun = noun
        self.entries = dict(entries)
        self.supplied = tuple(supplied)

    def __getitem__(self, name: str) -> str:
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def load(self, name: str) -> Any:
        """Return what `name` stands for; raise `InputError` if there is none of that name."""
        if name not in self.entries:
            known = ", ".join(self.entries)
            raise InputError(f"no {self.noun} is called '{name}'; choose one of {known}.")
        module, _, attribute = self.entries[name].partition(":")
        return getattr(import_module(module), attribute)

    def build(self, name: str, **options: Any) -> Any:
        """Call what `name` stands for with `options`.

        Raises `InputError` for an unknown name, or an option that it does not have.
        """
        make = self.load(name)
        known = [key for key in inspect.signature(make).parameters if key not in self.supplied]
        for option in options:
            if option not in known and option not in self.supplied:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise InputError(f"{self.noun} '{name}' has no option '{option}'; {has}.")
        return make(**options)
