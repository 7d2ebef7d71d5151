"""Names of the layers of a calorimeter, for titles and axes."""

from collections.abc import Sequence

from colliderkit.events.calorimeter.geometry import Geometry

__all__ = ["layer_names", "layer_title"]

# The ATLAS calorimeters as the CaloChallenge's data set 1 numbers their layers (2410.21611).
ATLAS = {
    0: "presampler",
    1: "strips",
    2: "middle",
    3: "back",
    12: "tile 0",
    13: "tile 1",
    14: "tile 2",
}
THREE = ("first", "middle", "last")


def layer_title(number: int, numbers: Sequence[int]) -> str:
    """Return what a layer of a calorimeter with layers of these `numbers` is called."""
    every = sorted(set(numbers))
    if 12 in every and ATLAS.keys() >= set(every):
        return ATLAS[number]
    if len(every) == len(THREE):
        return f"{THREE[every.index(number)]} layer"
    return f"layer {number}"


def layer_names(geometry: Geometry) -> list[str]:
    """Return the names of the layers of a calorimeter for the ticks of an axis."""
    numbers = [layer.number for layer in geometry.layers]
    names = [layer_title(number, numbers) for number in numbers]
    return [name.removeprefix("layer ").removesuffix(" layer") for name in names]
