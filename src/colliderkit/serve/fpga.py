"""Write the score of a trigger as firmware (FPGA) through hls4ml, and emulate it bit by bit.

hls4ml turns a network into C++ for a vendor's synthesis. The same C++, compiled here, gives the
numbers that the logic would give; how long it takes and how much of a chip it fills only the
vendor's tool can say.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.files import atomic_folder
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.networks.fixed_point import FixedPointDense, Quantiser
from colliderkit.serve.translation import quiet

__all__ = ["Firmware", "write_firmware"]

Backend = Literal["Vitis", "Vivado", "Quartus", "oneAPI", "Catapult"]
ROOM = 24  # bits before the point of a sum that is not rounded


@dataclass(frozen=True)
class Firmware:
    """The project in `folder`, compiled for this machine, and the `scorer` that it is of.

    Standardised numbers go in; means of squares are taken of what comes out, in floats.
    """

    folder: Path
    scorer: Autoencoder
    model: Any

    def score(self, events: Any) -> Floats:
        """Return the scores (N,) that the firmware would give of events (N, C)."""
        module = self.scorer.model_
        inputs = self.scorer.inputs(events)
        assert isinstance(inputs, Tensor)
        module.eval()
        with torch.inference_mode():
            (parts,) = module.coder.represent(inputs, None)
        given = np.ascontiguousarray(parts.numpy(), dtype=np.float32)
        with quiet():
            found = np.asarray(self.model.predict(given), dtype=np.float64).reshape(len(given), -1)
        if self.scorer.measure == "radius":
            return np.asarray((found**2).sum(1) / float(module.width) ** 2)
        return np.asarray(((parts.numpy() - found) ** 2).mean(1))


def write_firmware(
    scorer: Autoencoder,
    folder: str | Path,
    *,
    bits: int = 16,
    integer: int = 6,
    reuse: int = 1,
    backend: Backend = "Vitis",
    force: bool = False,
) -> Firmware:
    """Write an autoencoder of a table as an hls4ml project and compile its emulation (g++).

    One that is in fixed point (option `bits` of its networks) keeps its own numbers: weights and
    activations as they were trained, and sums that lose nothing, so that the emulation gives its
    scores. Any other is computed with ``ap_fixed<bits, integer>`` throughout, which truncates and
    wraps around, as hls4ml does by itself. `reuse` is how often a multiplier is used for one event.

    Raises `InputError` for a score that has no such form (jets, a map of softmax, contrast), where
    hls4ml is not installed, and for a folder that is there.
    """
    if scorer.representation not in ("table", "map") or scorer.prior != "normal":
        raise InputError(
            f"an autoencoder of representation '{scorer.representation}' with a"
            f" {scorer.prior} prior is not written as firmware; take a table and a normal prior."
        )
    if scorer.kind == "contrastive":
        raise InputError(
            "the score of a contrastive autoencoder is an exponential of its error, and is not"
            " written as firmware; take kind plain or variational."
        )
    try:
        import hls4ml
    except ImportError as error:
        raise InputError(
            "firmware is written by hls4ml, which is not installed; pip install"
            " 'colliderkit[fpga]'."
        ) from error
    layers, own = layers_of(scorer), dict(scorer.options or {}).get("bits") is not None
    network = nn.Sequential(*layers).eval()
    columns = scorer.model_.coder.numbers
    with quiet():
        config = hls4ml.utils.config_from_pytorch_model(
            network,
            (columns,),
            granularity="name" if own else "model",
            default_precision=f"ap_fixed<{bits},{integer}>",
            default_reuse_factor=reuse,
            backend=backend,
        )
        if own:
            for settings, found in zip(
                config["LayerName"].values(), precisions(scorer), strict=True
            ):
                settings.setdefault("Precision", {}).update(found)
        model = hls4ml.converters.convert_from_pytorch_model(
            network, hls_config=config, output_dir=str(folder), backend=backend
        )
        path = Path(folder)
        with atomic_folder(path, force) as part:
            model.config.config["OutputDir"] = str(part)
            model.write()
        model.config.config["OutputDir"] = str(path)
        model.compile()
    return Firmware(path, scorer, model)


def layers_of(scorer: Autoencoder) -> list[nn.Module]:
    """Return the linear layers and ReLUs that the score needs, weights rounded as they are used."""
    found: list[nn.Module] = []
    for network in networks_of(scorer):
        for layer in network.layers:
            if isinstance(layer, nn.Linear):
                weight, bias = layer.weight.detach(), layer.bias.detach()
                if isinstance(layer, FixedPointDense):
                    weight, bias = layer.weights(weight), layer.biases(bias)
                plain = nn.Linear(weight.shape[1], weight.shape[0])
                plain.weight.data, plain.bias.data = weight.float(), bias.float()
                found.append(plain)
            elif isinstance(layer, nn.ReLU):
                found.append(nn.ReLU())
        if network is scorer.model_.coder.encoder and scorer.kind == "variational":
            # Only the means: the deployed score does not draw.
            last = found[-1]
            assert isinstance(last, nn.Linear)
            last.weight.data = last.weight.data[: scorer.latent]
            last.bias.data = last.bias.data[: scorer.latent]
            last.out_features = scorer.latent
    return found


def networks_of(scorer: Autoencoder) -> list[Any]:
    """Return the encoder, and the decoder where the score needs it."""
    coder: Any = scorer.model_.coder
    return [coder.encoder] if scorer.measure == "radius" else [coder.encoder, coder.decoder]


def precisions(scorer: Autoencoder) -> list[dict[str, str]]:
    """Return hls4ml's types of the input and each layer, of a network in fixed point."""
    found = [{"result": named(scorer.model_.coder.entry)}]
    for network in networks_of(scorer):
        layers = list(network.layers)
        for i, layer in enumerate(layers):
            if isinstance(layer, FixedPointDense):
                steps = (layer.inputs.step * layer.weights.step, layer.biases.step)
                after = max(1, *(-math.floor(math.log2(float(step))) for step in steps))
                exact = f"ap_fixed<{after + ROOM},{ROOM}>"
                last = isinstance(layers[i + 1], Quantiser)
                found.append(
                    {
                        "weight": named(layer.weights),
                        "bias": named(layer.biases),
                        "accum": exact,
                        "result": named(layers[i + 1]) if last else exact,
                    }
                )
            elif isinstance(layer, nn.ReLU):
                found.append({"result": named(layers[i + 1].inputs)})
    return found


def named(quantiser: Any) -> str:
    """Return the type of a quantiser, ``ap_fixed<bits, integer, rounding, saturation>``."""
    sign = "" if quantiser.signed else "u"
    return f"ap_{sign}fixed<{quantiser.bits},{quantiser.integer},AP_RND_CONV,AP_SAT>"
