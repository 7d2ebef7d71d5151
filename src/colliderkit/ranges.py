"""The range of every option and argument that is a number, in one table by its name."""

import math
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from colliderkit.errors import InputError
from colliderkit.seeds import LARGEST

__all__ = ["RANGES", "Range", "check"]


@dataclass(frozen=True)
class Range:
    """Range of a number: from `least` to `most`, without an end that is `open`.

    Of a list or a dictionary each number has to be in the range. NaN never is, and infinity only
    if it is not to be `finite`.
    """

    least: float = -math.inf
    most: float = math.inf
    open: str = ""
    finite: bool = True

    def __contains__(self, number: float) -> bool:
        if math.isnan(number) or (self.finite and math.isinf(number)):
            return False
        low = number > self.least if "least" in self.open else number >= self.least
        high = number < self.most if "most" in self.open else number <= self.most
        return low and high

    def __str__(self) -> str:
        if self.most == LARGEST:
            return "from 0 to 2^64 - 1"
        if math.isinf(self.least):
            return "finite" if self.finite else "a number"
        low = f"above {self.least:g}" if "least" in self.open else f"at least {self.least:g}"
        if math.isinf(self.most):
            return "positive" if (self.least, self.open) == (0, "least") else low
        return f"{low} and {'below' if 'most' in self.open else 'at most'} {self.most:g}"


# What one machine can count or hold: more is a slip of the finger, and would end in an overflow.
MOST = 1e9
ONE = Range(1, MOST)
NONE = Range(0, MOST)
# Of what each takes a training, a row of an array or a pass over all events.
FEW = 1e5
FEW_ONE = Range(1, FEW)
FEW_TWO = Range(2, FEW)
FEW_NONE = Range(0, FEW)
WIDTH = Range(1, 1e6)
POSITIVE = Range(0, open="least")
NOT_NEGATIVE = Range(0)
SHARE = Range(0, 1, open="least most")  # of events, or a probability
FINITE = Range()
SEED = Range(0, LARGEST)

# By the name of the parameter, wherever it stands: in a verb, a task, a method, an objective, a
# network, a generator or `Training`. A function may know a narrower one, which depends on others.
RANGES: dict[str, Range] = {
    # how long, how many, how much at a time
    **dict.fromkeys(("batch_size", "epochs", "nodes", "patience", "longest", "pool"), ONE),
    **dict.fromkeys(("count", "events", "experiments", "draws", "points", "toys"), ONE),
    "strengths": ONE,
    "null": NONE,
    **dict.fromkeys(("bins", "detector_bins", "components", "slices", "transforms"), FEW_ONE),
    **dict.fromkeys(("data_members", "members", "others", "iterations", "repetitions"), FEW_ONE),
    **dict.fromkeys(("restarts", "measurements"), FEW_ONE),  # of a search, of a trial
    "trials": ONE,
    "size": Range(0, 1, open="least"),  # of a simplex, in half the range of a setting
    "discount": Range(0, 1, open="most"),  # of a reward
    **dict.fromkeys(("proportional", "integral"), NOT_NEGATIVE),
    **dict.fromkeys(("discriminator_steps", "most", "rounds", "seeds"), FEW_ONE),
    **dict.fromkeys(("folds", "leaves"), FEW_TWO),
    "best_epochs": FEW_ONE,
    **dict.fromkeys(("bootstraps", "column", "orders", "replicas", "depth"), FEW_NONE),
    "steps": NONE,
    **dict.fromkeys(("devices", "workers"), Range(1, 4096)),
    **dict.fromkeys(("seed", "sample_seed", "noise_seed"), SEED),
    # a server
    **dict.fromkeys(("batch", "request_rows", "message"), FEW_ONE),
    **dict.fromkeys(("processes", "threads"), Range(1, 4096)),
    **dict.fromkeys(("http", "grpc"), Range(0, 65535)),
    "latency": Range(0, 3600, open="least"),
    "delay": Range(0, 60),
    "drain": Range(0, 86400),
    # a network, in intervals of time
    **dict.fromkeys(("day", "horizons", "lags", "packets"), ONE),
    "alarms": POSITIVE,
    # networks and generators
    **dict.fromkeys(("hidden", "phi", "f", "dense", "embed", "pair_embed"), WIDTH),
    **dict.fromkeys(("layers", "blocks", "class_blocks", "heads", "neighbours"), WIDTH),
    **dict.fromkeys(("pixels", "noise", "latent"), WIDTH),
    **dict.fromkeys(("channels", "particles"), WIDTH),  # of an autoencoder
    **dict.fromkeys(("functions", "topics", "classes"), FEW_ONE),
    **dict.fromkeys(("alpha", "smoothing"), POSITIVE),  # of Dirichlet distributions
    "reliance": Range(0, 1),
    "width": Range(0, 1e6, open="least"),  # of a layer, or of a nuisance's distribution
    "dropout": Range(0, 1, open="most"),
    "leak": Range(0, 1, open="most"),
    **dict.fromkeys(("beta", "penalty", "regression"), NOT_NEGATIVE),
    "unit": POSITIVE,
    # shares and probabilities
    **dict.fromkeys(("least", "shares"), SHARE),
    **dict.fromkeys(("confidence", "efficiencies", "intervals", "level", "levels"), SHARE),
    "efficiency": Range(0, 1, open="least"),
    "fractions": Range(0, 1),  # of signal in mixed samples, which may be pure
    **dict.fromkeys(("share", "validation", "held_out"), SHARE),
    **dict.fromkeys(("target", "input_rate"), POSITIVE),  # rates of a trigger
    "above": FINITE,  # of a column, where there is an object
    "smallest": FEW_TWO,  # events of a topology
    "prescales": ONE,
    "bits": Range(2, 24),  # of numbers in fixed point
    **dict.fromkeys(("cache", "caches"), SHARE),  # of the size of all data sets
    **dict.fromkeys(("every", "horizon"), POSITIVE),  # days
    "until": FINITE,
    **dict.fromkeys(("average", "betas"), Range(0, 1, open="most")),
    "towers": FEW_TWO,  # of a side of an image
    # a tracker
    **dict.fromkeys(("eta", "pt"), NOT_NEGATIVE),  # of particles, in GeV
    "born": POSITIVE,  # mm from the beam
    **dict.fromkeys(("hits", "vertices"), FEW_ONE),
    "missed": Range(0, 1, open="most"),  # share of hits
    "volumes": NONE,  # of a detector, by their numbers
    "overlaid": Range(1, 1e4),  # events as one
    # clusters of calorimeter hits
    **dict.fromkeys(("distance", "density", "link", "mean"), POSITIVE),
    **dict.fromkeys(("q_min", "side", "least_energy"), NOT_NEGATIVE),
    "outlier": Range(1),
    # particle flow: distances of links, spreads, and a share of energy
    **dict.fromkeys(("near", "wide"), Range(0.001, 1.0)),
    "significance": NOT_NEGATIVE,
    "electromagnetic": SHARE,
    # neutral energy beside tracks
    **dict.fromkeys(("depths", "rings", "remainder"), NOT_NEGATIVE),
    **dict.fromkeys(("coarse", "fine"), POSITIVE),
    "core": POSITIVE,
    "ranges": FEW_ONE,
    **dict.fromkeys(("dimensions", "space", "propagated"), WIDTH),
    # certification
    **dict.fromkeys(("references", "window"), FEW_ONE),
    **dict.fromkeys(("discovery", "learning", "rate"), SHARE),
    "tolerance": NOT_NEGATIVE,  # relative, of a bin
    # what is optimised, and how
    **dict.fromkeys(("learning_rate", "discriminator_rate", "temperature"), POSITIVE),
    **dict.fromkeys(("at_most", "max_slope", "reach", "step", "strength", "widths"), POSITIVE),
    "oversampling": POSITIVE,
    **dict.fromkeys(("power", "regulariser", "weight_decay"), NOT_NEGATIVE),
    # physics
    **dict.fromkeys(("cut", "energies", "luminosity", "without"), POSITIVE),
    **dict.fromkeys(("bands", "pileup", "prior", "template", "threshold"), NOT_NEGATIVE),
    "angle": Range(-math.pi / 2, math.pi / 2, open="least most"),
    **dict.fromkeys(("edges", "sidebands", "signal_region", "windows"), FINITE),
    **dict.fromkeys(("cuts", "index", "x", "y"), FINITE),
    "errors": NOT_NEGATIVE,
    # pileup: lengths in eta and phi, pT, and the edges of rings
    **dict.fromkeys(("cell", "grid", "radius", "spacing"), Range(0.01, 2.0)),
    **dict.fromkeys(("time_window", "arrival"), POSITIVE),  # ps
    "timing": NOT_NEGATIVE,  # ps
    "coldest": POSITIVE,  # of an annealing
    "cooling": SHARE,
    "false": NOT_NEGATIVE,  # vertices an event
    "kernels": Range(1, 1001),
    **dict.fromkeys(("primary", "secondary"), POSITIVE),  # cuts in errors
    **dict.fromkeys(("forward", "offset", "slope"), NOT_NEGATIVE),
    # the ABCD plane
    **dict.fromkeys(("correlation", "nonclosure"), POSITIVE),
    "regions": FEW_ONE,
    # The outer bins of an unfolding may be open.
    **dict.fromkeys(("reco_edges", "truth_edges"), Range(finite=False)),
    **dict.fromkeys(("event", "fixed", "nominal", "parameters", "weight"), FINITE),
}
# Where a name means two things: the parameter of one class or function, "OWNER.NAME".
RANGES |= {
    "TransportDecorrelation.levels": FEW_TWO,
    "helices.noise": NOT_NEGATIVE,  # hits on a layer
    "WindowScan.width": FEW_ONE,
    "Planing.bins": FINITE,  # a number, or the edges
    **dict.fromkeys(("Superresolution.noise", "Superresolution.threshold"), NOT_NEGATIVE),
    "Superresolution.size": WIDTH,
    "NeutralEnergy.size": WIDTH,  # pixels
    "NeutralShare.size": WIDTH,
    "CLUE.depth": POSITIVE,  # what z is multiplied by
    "PIController.target": FINITE,  # the logarithm of a gain may be negative
    "BayesianOptimisation.random": FEW_ONE,  # settings that are drawn
    "ConstituentSubtraction.alpha": NOT_NEGATIVE,  # a power of pT
    "Puppi.least": NOT_NEGATIVE,  # a distance
}


def check(values: Mapping[str, Any], *, owner: str = "", prefix: str = "") -> None:
    """Raise `InputError` for a number in `values` that is not in the range of its name.

    Dataclasses and dictionaries of options among the values are walked; `prefix` begins the names
    in the sentence, and `owner` is what has the parameters, for a name that means two things.
    """
    for name, value in values.items():
        known = RANGES.get(f"{owner}.{name}") or RANGES.get(name)
        parts = value if isinstance(value, list | tuple) else [value]
        if known is None or any(map(_has_fields, parts)):
            for part in parts:
                check(_options_of(part), owner=_owner_of(part), prefix=f"{prefix}{name}.")
            continue
        for number in _numbers(value):
            if number not in known:
                several = number is not value
                has = f"has {_short(number)}; each" if several else f"is {_short(number)}; it"
                raise InputError(f"{prefix}{name} {has} must be {known}.")


def _has_fields(value: Any) -> bool:
    """Whether a value is a dataclass, or what the command line makes one of."""
    return isinstance(value, Namespace) or (is_dataclass(value) and not isinstance(value, type))


def _options_of(value: Any) -> Mapping[str, Any]:
    """Return what a dataclass, or a dictionary of options, holds by name; nothing of others."""
    if isinstance(value, Namespace):
        held = vars(value)
        return _options_of(held["init_args"]) if "init_args" in held else held
    if _has_fields(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {str(name): item for name, item in value.items()} if isinstance(value, Mapping) else {}


def _owner_of(value: Any) -> str:
    if isinstance(value, Namespace):
        return str(vars(value).get("class_path", "")).rpartition(".")[2]
    return type(value).__name__


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers in a value: itself, or those of a list or a dictionary."""
    if isinstance(value, bool | str):
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)


def _short(number: float) -> str:
    if isinstance(number, int) and abs(number) > 10**30:
        return "a whole number of too many digits"
    return f"{number:g}" if isinstance(number, float) else str(number)
