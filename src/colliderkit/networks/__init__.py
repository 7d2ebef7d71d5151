"""Registry of networks: tensors to tensors, one family a file.

A network is an `nn.Module` built from keyword arguments alone. What its ``forward`` takes is
what its ``representation`` gives:

- ``"set"``: ``forward(features (B, N, F), vectors (B, N, 4), mask (B, N)) -> (B, outputs)``,
  constructor keyword ``inputs=F``;
- ``"sequence"``: the same, particles in the order that the representation sorted them;
- ``"image"``: ``forward(image (B, 1, H, W))``;
- ``"table"``: ``forward(x (B, C))``, constructor keyword ``inputs=C``.

Each takes the keyword ``outputs`` (2 for two classes: logits for a softmax).
"""

import importlib
import inspect
from typing import Any

from colliderkit.errors import InputError

__all__ = ["NETWORKS", "build", "network"]

# Module and class, imported when asked for.
NETWORKS: dict[str, str] = {
    "boosted-trees": "colliderkit.networks.boosted_trees:BoostedTrees",
    "cnn": "colliderkit.networks.convolutional:CNN",
    "dips": "colliderkit.networks.deep_sets:DIPS",
    "efn": "colliderkit.networks.deep_sets:EFN",
    "gru": "colliderkit.networks.recurrent:GRU",
    "linear": "colliderkit.networks.linear:Linear",
    "lstm": "colliderkit.networks.recurrent:LSTM",
    "mlp": "colliderkit.networks.mlp:MLP",
    "particle-net": "colliderkit.networks.particle_net:ParticleNet",
    "particle-net-lite": "colliderkit.networks.particle_net:ParticleNetLite",
    "particle-transformer": "colliderkit.networks.particle_transformer:ParticleTransformer",
    "pfn": "colliderkit.networks.deep_sets:PFN",
    "resnext": "colliderkit.networks.convolutional:ResNeXt",
}


def network(name: str) -> Any:
    """Return the class of a network; raise `InputError` if there is none of that name."""
    if name not in NETWORKS:
        raise InputError(f"no network is called '{name}'; choose one of {', '.join(NETWORKS)}.")
    module, _, noun = NETWORKS[name].partition(":")
    return getattr(importlib.import_module(module), noun)


def build(name: str, *, inputs: int, outputs: int = 2, **options: Any) -> Any:
    """Build the network `name` for `inputs` features (channels of an image) and `outputs`.

    `options` are further keywords of its constructor. Raises `InputError` for an unknown name,
    or an option that this network does not have.
    """
    make = network(name)
    known = [p for p in inspect.signature(make).parameters if p not in ("inputs", "outputs")]
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"network '{name}' has no option '{option}'; {has}.")
    return make(inputs=inputs, outputs=outputs, **options)
