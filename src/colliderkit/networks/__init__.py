"""Networks by name: tensors to tensors, one family a file.

A network is an `nn.Module` built from keyword arguments alone. What its ``forward`` takes is
what its ``representation`` gives:

- ``"set"``: ``forward(features (B, N, F), vectors (B, N, 4), mask (B, N)) -> (B, outputs)``,
  constructor keyword ``inputs=F``;
- ``"sequence"``: the same, particles in the order that the representation sorted them;
- ``"image"``: ``forward(image (B, 1, H, W))``;
- ``"table"``: ``forward(x (B, C))``, constructor keyword ``inputs=C``.

Each takes the keyword ``outputs`` (2 for two classes: logits for a softmax).
"""
