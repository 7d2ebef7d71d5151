"""Registry of networks: tensors to tensors, one family a file.

A network is an `nn.Module` built from keyword arguments alone. What its ``forward`` takes is
what its ``representation`` gives:

- ``"set"``: ``forward(features (B, N, F), vectors (B, N, 4), mask (B, N)) -> (B, outputs)``,
  constructor keyword ``inputs=F``;
- ``"sequence"``: the same, particles in the order that the representation sorted them;
- ``"image"``: ``forward(image (B, 1, H, W))``;
- ``"table"``: ``forward(x (B, C))``, constructor keyword ``inputs=C``.

Each takes the keyword ``outputs`` (2 for two classes: logits for a softmax). The package gives
``inputs`` (features, columns or channels) and ``outputs``, a user the options:
``NETWORKS.build("pfn", inputs=3, outputs=2, phi=(100, 100, 256))``.
"""

from colliderkit.names import Registry

__all__ = ["NETWORKS"]

NETWORKS = Registry(
    "network",
    {
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
    },
    supplied=("inputs", "outputs"),
)
