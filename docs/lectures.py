"""Write docs/lectures.md from docs/lectures.yaml and benchmarks/results/*.json.

python docs/lectures.py
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from colliderkit.files import atomic_file
from colliderkit.metrics.value import Value

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import thumbnails  # of this folder, which is no package

RESULTS = HERE.parent / "benchmarks" / "results"
STATES = {
    "measured": "measured",
    "built": "built, no result is kept here",
    "part": "built in part",
    "missing": "nobody has built it yet",
}
HEAD = """# The lectures, figure by figure

Five public lectures show what machine learning does for particle physics. This page has every
figure of theirs and every number that they print, beside ours. In a cell the upper number is
published, **ours is bold below it**. "Same set-up" means the same problem; everything else is a
stand-in, and the difference is said. A value without ours has not been measured.

"""
FOOT = """
Made by `python docs/lectures.py` from `docs/lectures.yaml` and `benchmarks/results/`. Nothing of
the lectures is copied but their numbers.
"""


def main() -> None:
    lectures = yaml.safe_load((HERE / "lectures.yaml").read_text(encoding="utf-8"))
    text = HEAD + overview(lectures)
    for lecture in lectures:
        text += f"\n## {lecture['lecture']}\n\n{lecture['by']}, {lecture['where']}.\n"
        text += "".join("\n" + figure(entry) for entry in lecture["figures"])
    with atomic_file(HERE / "lectures.md", force=True) as part:
        part.write_text(text + FOOT, encoding="utf-8")
    print(HERE / "lectures.md")


def overview(lectures: list[dict[str, Any]]) -> str:
    """Return the table of lectures: how many of their figures are measured, built or missing."""
    lines = ["| lecture | figures | " + " | ".join(STATES.values()) + " |"]
    lines.append("|---|" + "---:|" * (len(STATES) + 1))
    for lecture in lectures:
        count = Counter(entry["state"] for entry in lecture["figures"])
        anchor = f"[{lecture['lecture']}](#{slug(lecture['lecture'])})"
        cells = [anchor, str(len(lecture["figures"])), *(str(count[state]) for state in STATES)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def slug(title: str) -> str:
    """Return the anchor of a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")


def figure(entry: dict[str, Any]) -> str:
    """Return one figure: what it shows, its numbers, and how ours were made."""
    text = f"### {entry['figure']}\n\n{entry['shows']}"
    sources = [
        f"[arXiv:{number}](https://arxiv.org/abs/{number})" for number in entry.get("arxiv", [])
    ]
    if "link" in entry:
        sources.append("[{}]({})".format(*entry["link"]))
    text += (" Source: " + ", ".join(sources) + "." if sources else "") + "\n\n"
    if "image" in entry:
        text += f"![{entry['shows']}]({entry['image']}){{width=320px}}\n\n"
    elif picture := thumbnails.markdown(entry.get("study", "")):
        text += picture + "\n\n"
    commands = []
    if "table" in entry:
        rows, commands = table(entry["table"], entry.get("ours", {}))
        text += rows + "\n"
    facts = [f"**{STATES[entry['state']]}**"]
    if "setup" in entry:
        facts.append(entry["setup"])
    if "study" in entry:
        study = f"colliderkit study {entry['study']} --scale laptop"
        facts += [f"`{study}`", *(f"made by `{c}`" for c in commands if not c.startswith(study))]
    for key in ("page", "from"):
        if key in entry:
            page = entry[key].removesuffix(".md")
            facts.append(f"{'see' if key == 'page' else 'from'} [{page.split('/')[-1]}]({page}.md)")
    text += "Ours: " + " · ".join(facts) + "."
    return text + (f" {entry['note']}" if "note" in entry else "") + "\n"


def table(content: dict[str, Any], ours: dict[str, dict[str, str]]) -> tuple[str, list[str]]:
    """Return the table of a figure, and the commands that made ours."""
    columns = content["columns"]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    commands: dict[str, None] = {}
    for subject, published in content.items():
        if subject == "columns":
            continue
        mine = ours.get(subject, {})
        if unknown := set(mine) - set(columns):
            raise ValueError(f"{subject}: no column {', '.join(unknown)}")
        cells = []
        for column, value in zip(columns, published, strict=True):
            cell = value or "–"
            if column in mine:
                measured, command = measurement(mine[column])
                cell += f"<br>**{measured}**"
                commands |= dict.fromkeys(command)
            cells.append(cell.replace("|", "\\|"))
        lines.append(f"| {subject} | " + " | ".join(cells) + " |")
    if unknown := set(ours) - set(content):
        raise ValueError(f"no row {', '.join(unknown)}")
    return "\n".join(lines) + "\n", list(commands)


def measurement(reference: str) -> tuple[str, Iterator[str] | tuple[str, ...]]:
    """Return ours as a text, and its command if a file of results has it.

    "FILE: QUANTITY" is `ours` with its error; "| peer" takes the peer's value, "| all X" the row's
    value of X, and "| 0.001" multiplies.
    """
    name, _, rest = reference.partition(": ")
    if not (RESULTS / f"{name}.json").is_file():
        if ":" in reference:
            raise ValueError(f"{reference}: no such file of results")
        return reference, ()
    title, _, how = rest.partition(" | ")
    rows = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    found = [row for row in rows if row["quantity"] == title]
    if not found:
        raise ValueError(f"{reference}: no such quantity")
    row = found[0]
    error = row.get("ours_error") or row.get("counting_error")
    if row.get("ratio") is None:
        error = error or row.get("uncertainty")
    value, scale = row["ours"], 1.0
    if how == "peer":
        value, error = row["peer"], row.get("peer_error")
    elif how.startswith("all "):
        value, error = row["all"][how.removeprefix("all ")]
    elif how:
        scale = float(how)
    made = Value(scale * value, scale * error if error else float("nan"))
    return f"{made}", (row.get("study") or row["command"],)


if __name__ == "__main__":
    main()
