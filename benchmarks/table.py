"""Write docs/benchmarks.md from benchmarks/results/*.json.

python benchmarks/table.py
"""

import json
import re
from pathlib import Path
from typing import Any

from colliderkit.files import atomic_file

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

What is claimed, whether it is met, and why not where it is not. Every quantity stands in a
table below with its bar; `benchmarks/README.md` says how to repeat it.

"""
RULES = """
Ratios are ours over the peer's, medians of repetitions run back to back. ± is their standard
deviation; for AUC and R30 it is the standard error over seeds. A row without a bar is there for
comparison. Load is the machine's load average over one minute at the end of the row.
"""
# Of each file of results: what is claimed, and why a bar is not met, if one is not. A topic has a
# table of its own; a file that stands in none is shown under "Others".
TOPICS: dict[str, dict[str, tuple[str, str]]] = {
    "Speed and memory": {
        "training_speed": (
            "Training is three times faster than weaver-core and energyflow, in half the memory",
            "ParticleNet is; the Particle Transformer and the particle-flow network train two to"
            " three times faster",
        ),
        "loading": (
            "A file becomes shuffled batches five times faster than in weaver-core",
            "it is about four times faster",
        ),
        "memory": ("A file ten times longer takes at most 1.5 times the memory", ""),
        "generation": ("Generation costs little beside Pythia, and scales over processes", ""),
        "inference_service": (
            "tritonclient, coffea and Triton's dashboards work with `colliderkit serve`; nothing is"
            " lost or wrong",
            "Triton's front end is C++, and costs less for gRPC",
        ),
        "help_time": ("The command line answers in less than half a second", ""),
        "before": (
            "Reading and training cost no more CPU time than at an earlier revision",
            "ParticleNet-Lite takes 15 ± 3% more, measured on a machine with a load of 11; why is"
            " not known",
        ),
    },
    "Tagging and decorrelation": {
        "quality": ("AUC and R30 are those of the peers after the same training", ""),
        "weaver_parity": ("Networks give weaver's logits with weaver's weights", ""),
        "w_tagging": ("A flow map rejects more than DisCo at equal sculpting", ""),
        "disco_target": ("A limit on DisCo is reached without tuning", ""),
        "distance_correlation": (
            "Distance correlation is exact and fast, for a million events too",
            "",
        ),
    },
    "Reconstruction": {
        "calorimeter": (
            "Overlapping showers are found with their energies, and the neutral energy beside a"
            " track",
            "the network takes 7.8 ± 0.4 ms for the clusters of an event, on a loaded core, and not"
            " 5",
        ),
        "tracking": (
            "Tracks in pixels are found as well as by ACTS' Kalman filter, and fitted by it",
            "98,192 hits take 4.12 GB and not 4; arrays of ACTS' hits are made at 0.87 ± 0.19 of"
            " the bare chain's speed, the rest is ACTS' own tables; two workers gain 1.4 here and"
            " 1.9 in a run before, on two cores that may be one",
        ),
        "raw_data": (
            "One trunk on raw data is as good as a network of each question; a trigger on raw hits"
            " keeps more than a seed jet at its rate",
            "the energy: 1.25 ± 0.06 times as wide as by a network of its own, and 1.34 ± 0.07"
            " times as by trees; it pays for the shares of cells in the common loss",
        ),
        "claims": (
            "What studies claim of vertices and of raw data at laptop scale",
            "the energy of raw data, as in the row above",
        ),
        "pileup": (
            "A graph network removes pileup better than tuned PUPPI and SoftKiller, at every mu",
            "",
        ),
    },
    "Searches": {
        "anomaly_trigger": (
            "An anomaly trigger keeps its rate, and is fast enough for one core",
            "",
        ),
        "trigger_fixed_point": (
            "A trigger of few bits keeps the same events if it was trained for them",
            "",
        ),
        "data_quality": (
            "Data quality: the joint rate is the one asked for, and no test is weaker for the rest",
            "",
        ),
        "symmetry": ("Symmetries are found to 0.01 rad, and none where there is none", ""),
        "abcd": ("ABCD is unbiased for independent scores, with honest errors", ""),
        "search_null": (
            "Searches without a signal have uniform global p-values, and a hidden bump is found",
            "",
        ),
        "search_selection": (
            "Two halves of the data choose a search without labels",
            "",
        ),
        "pivot": ("A pivot does not respond to its nuisance", ""),
        "anomaly": (
            "CATHODE is near the idealised bound, with features that follow the mass too",
            "15.1 and 17 are published for the whole public set; here the signal region holds a"
            " tenth of its events, and of a few thousand background test events ten are kept",
        ),
    },
    "Operations": {
        "caches": (
            "A cache that forecasts misses less than LRU and closes a part of the gap to Belady",
            "",
        ),
        "congestion": ("Congestion is forecast better than by persistence, with time to act", ""),
    },
    "Weak supervision": {
        "weak_supervision": (
            "Mixed samples give the best classifier, efficiencies and fractions, without labels",
            "with the batch mean and WCE, learning from proportions stays above the exact optimum"
            " by two counting errors of 200,000 test events",
        ),
    },
    "Ratio, fits and inference": {
        "likelihood_ratio": ("Learned ratios err less than half as much as the peers'", ""),
        "parameter_fit": ("Calibrated errors of fitted parameters cover", ""),
        "inferno": ("Inference-aware training beats the published errors", ""),
        "coverage": (
            "Intervals cover",
            "by Wilks' theorem one interval of 95% covers too little; Neyman's construction holds"
            " everywhere",
        ),
    },
    "Unfolding": {
        "unfolding": (
            "OmniFold on tables is better than `omnifold` and iterative Bayes, and faster",
            "the width of jets: three iterations of binned unfolding, chosen with the truth in"
            " hand, are better",
        ),
        "unfolding_particles": (
            "OmniFold on all particles is better than iterative Bayes",
            "one network learns all observables from the particles; a binned unfolding of each is"
            " better, and what limits the network is not known",
        ),
        "unfolding_memory": ("A million events fit into 4 GB and ten minutes", ""),
        "pyunfold": ("Iterative Bayes gives PyUnfold's spectrum", ""),
    },
    "Calorimeter showers": {
        "surrogate": (
            "A diffusion model is close to the Geant4 floor",
            "by both AUC it is; FPD is far above its floor, since showers fluctuate too little",
        ),
        "layer_model": ("A model of the layers makes the total energy right", ""),
        "sampler_steps": ("Eight calls of the network give what 200 give", ""),
        "shower_time": ("A surrogate is 10 to 100 times faster than Geant4", ""),
        "geant4_speed": ("Our loop around Geant4 costs little", ""),
        "shower_memory": ("100,000 showers are compared in less than 6 GB", ""),
        "physics_distances": ("FPD and KPD are those of jetnet", ""),
        "metric_power": ("Metrics of showers see what distorts a toy of known density", ""),
        "pulls": ("Unbiased distances have pulls of mean 0 and width 1", ""),
    },
    "Running the experiment": {
        "control": (
            "Policies beat Bayesian optimisation and a knapsack, within all limits",
            "prescales: the policy's value is 0.4% below that of the tuned knapsack and 2.7% below"
            " that of one at 95% of the budget, which overrun 1.8 and four times as often",
        ),
    },
    "Calibration and uncertainty": {
        "calibration": ("Calibrations are unbiased on an example with exact answers", ""),
        "jet_calibration": (
            "Calibrated jets close, under any prior, with a better resolution and right intervals",
            "inversions close, likelihoods do not, since the response has a tail; the resolution"
            " gains 5 to 9% and not 10%; the curvature of a likelihood is no interval, a conformal"
            " one is",
        ),
        "intervals": ("Conformal intervals of every regression cover", ""),
    },
}
COLUMNS = ("quantity", "ours", "peer", "unit", "ratio", "bar", "met", "threads", "load")
Row = dict[str, Any]


def main() -> None:
    files = sorted((HERE / "results").glob("*.json"))
    results = {file.stem: json.loads(file.read_text()) for file in files}
    known = {name for claims in TOPICS.values() for name in claims}
    others = {name: (name.replace("_", " "), "") for name in results if name not in known}
    topics = TOPICS | ({"Others": others} if others else {})
    text = HEAD + summary(topics, results) + RULES
    versions: dict[str, str] = {}
    for topic, claims in topics.items():
        text += f"\n## {topic}\n"
        for name, (claim, _) in claims.items():
            if name in results:
                rows = results[name]
                text += f"\n### {claim}\n\n{table(rows)}\n{made(rows)}\n"
                for row in rows:
                    versions |= row.get("versions") or {}
    text += "\n## Versions\n\n"
    text += ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "\n"
    with atomic_file(PAGE, force=True) as part:
        part.write_text(text)
    print(PAGE)


def summary(topics: dict[str, dict[str, tuple[str, str]]], results: dict[str, list[Row]]) -> str:
    """Return the table of claims: how many bars are met, and why some are not."""
    lines = ["| claim | bars met | why not |", "|---|---|---|"]
    for topic, claims in topics.items():
        lines.append(f"| **{topic}** | | |")
        for name, (claim, reason) in claims.items():
            if name not in results:
                continue
            met = [row["met"] for row in results[name] if row.get("met") is not None]
            share = f"{sum(met)} of {len(met)}" if met else "no bar"
            why = "" if all(met) else reason or "see its table"
            lines.append(f"| {claim} | {share if all(met) else f'**{share}**'} | {why} |")
    return "\n".join(lines) + "\n"


def table(rows: list[Row]) -> str:
    """Return the table of a file's rows, without the columns that nobody fills."""
    cells = [cells_of(row) for row in rows]
    columns = [i for i in range(len(COLUMNS)) if any(row[i] for row in cells)]
    lines = [[COLUMNS[i] for i in columns], ["---"] * len(columns)]
    lines += [[row[i] for i in columns] for row in cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def made(rows: list[Row]) -> str:
    """Return how the rows were made, and when."""
    commands = dict.fromkeys(row["command"] for row in rows)
    date = max(row["date"] for row in rows)
    return f"Made by {', '.join(f'`{command}`' for command in commands)}, {date}."


def cells_of(row: Row) -> list[str]:
    ratio = number(row.get("ratio"))
    if row.get("uncertainty") is not None:
        error = number(row["uncertainty"], 2)
        ratio = f"{ratio} ± {error}" if row.get("ratio") is not None else f"± {error}"
    met = {True: "yes", False: "**no**"}.get(row.get("met"), "")  # type: ignore[arg-type]
    return [
        words(row["quantity"]),
        number(row["ours"]),
        number(row.get("peer")),
        words(row.get("unit") or ""),
        ratio,
        words(str(row.get("bar") or "")),
        met,
        str(row.get("threads") or ""),
        number(row.get("load"), 2),
    ]


def words(text: str) -> str:
    """Write a text for a cell: bars escaped, leading zeros, and signs in place of makeshifts."""
    text = text.replace("$p_T$", "pT").replace("+-", "±").replace(">=", "≥").replace("<=", "≤")
    text = re.sub(r"(?<![\d\w])\.(?=\d)", "0.", text)
    return text.replace("|", "\\|")


def number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if digits > 2 or abs(value) < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
