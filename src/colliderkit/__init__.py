"""Machine learning for particle physics, from events to physics results.

>>> import colliderkit as ck
>>> train, test = ck.split(ck.read("jets.root"), (0.75, 0.25))
>>> tagger = ck.Tagger("pfn").fit(train)
>>> ck.auc(tagger.predict_proba(test)[:, 1], test.label)
>>> ck.load(tagger.save("tagger")).predict_proba(ck.read("others.root"))

The class of every method (`colliderkit.methods.METHODS`) is here by its own name, and so is what
reads, generates, splits, scores and loads. A name is imported when it is first asked for:
`import colliderkit` itself loads neither torch nor a file format.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Names beside the methods, and where they stand.
NAMES = {
    "Adversary": "colliderkit.methods.decorrelation.objectives",
    "DisCo": "colliderkit.methods.decorrelation.objectives",
    "InputError": "colliderkit.errors",
    "MACHINES": "colliderkit.sources.machines",
    "METHODS": "colliderkit.methods",
    "MoDe": "colliderkit.methods.decorrelation.objectives",
    "Planing": "colliderkit.methods.decorrelation.objectives",
    "Table": "colliderkit.events.tables",
    "Training": "colliderkit.training.settings",
    "auc": "colliderkit.metrics.roc",
    "generate": "colliderkit.sources.pythia.shards",
    "iterate": "colliderkit.sources",
    "load": "colliderkit.methods.method",
    "read": "colliderkit.sources",
    "read_table": "colliderkit.sources",
    "rejection": "colliderkit.metrics.roc",
    "roc": "colliderkit.metrics.roc",
    "split": "colliderkit.events.schema",
    "write": "colliderkit.sources",
}


def _modules() -> dict[str, str]:
    """Return the module of each public name."""
    from colliderkit.methods import METHODS

    classes = (path.partition(":") for path in METHODS.values())
    return NAMES | {name: module for module, _, name in classes}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_modules())
    module = None if name.startswith("_") else _modules().get(name)
    if module is None:
        raise AttributeError(f"module 'colliderkit' has no attribute '{name}'")
    globals()[name] = value = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_modules()})
