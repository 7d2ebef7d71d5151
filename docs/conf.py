"""The site: `make docs` builds it, runs the tutorials, and takes a warning for an error."""

import re
import sys
from pathlib import Path
from typing import Any

from colliderkit import __version__

sys.path.insert(0, str(Path(__file__).parent))
import thumbnails  # of this folder, which is no package

project = "ColliderKit"
author = "The ColliderKit developers"
copyright = f"2026, {author}"
release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
suppress_warnings = ["ref.python"]  # one name in two modules: both are meant

html_theme = "furo"
html_title = f"ColliderKit {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]

# Pages are Markdown; those of tutorials/ are run, each in a process of its own.
myst_enable_extensions = ["dollarmath", "deflist", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "auto"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

# Docstrings are plain text with `code` in it. They become reStructuredText here.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")


def prose(line: str) -> str:
    """Return a line of a docstring with its code marked and its other signs as they stand."""
    made = ""
    for i, part in enumerate(CODE.split(line)):
        if i % 2:
            apart = "\\ " if made[-1:].isalnum() else ""
            made += f"{apart}``{part.strip('`')}``"
        else:
            apart = "\\ " if made.endswith("``") and part[:1].isalnum() else ""
            made += apart + re.sub(r"([*|\\`]|_(?!\w))", r"\\\1", part)
    return made


def plain(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of a docstring: an indented block is shown as it stands."""
    made: list[str] = []
    block = False  # in a directive, or in a block that is indented below a paragraph
    for before, line in zip(["", *lines], lines, strict=False):
        indented = line.startswith("    ")
        if indented and not block and not before.strip() and not in_section(made):
            block = True
            made += ["::", ""]
        elif line.strip() and not indented:
            block = line.startswith(".. ")
        made.append(line if block or line.lstrip().startswith(">>>") else prose(line))
    lines[:] = made


def in_section(lines: list[str]) -> bool:
    """Tell whether the lines end within a section such as "Args:"."""
    last = next((line for line in reversed(lines) if line.strip() and line[0] != " "), "")
    return bool(re.match(r"[A-Z]\w+:$", last))


def with_pictures(app: Any, page: str, source: list[str]) -> None:
    """Put the small picture of each study into its row of the gallery."""
    if page == "gallery":
        source[0] = re.sub(
            r"^\| `([\w-]+)` \|",
            lambda row: f"| `{row[1]}`<br>{thumbnails.markdown(row[1])} |",
            source[0],
            flags=re.M,
        )


def setup(app: Any) -> None:
    app.connect("source-read", with_pictures)
    app.connect("autodoc-process-docstring", plain, priority=400)
