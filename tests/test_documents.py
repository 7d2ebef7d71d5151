"""Documents: the files that they name are there, and so is what their examples import."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import colliderkit

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
ROOTS = (ROOT, ROOT / "src" / "colliderkit")


@pytest.mark.parametrize("document", ["docs/map.md", "CONTRIBUTING.md", "README.md"])
def test_the_files_that_are_named_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text)
    missing = []
    for name in named:
        roots = [root for root in ROOTS if (root / name.split("/")[0]).is_dir()]
        example = re.search(r"SUBJECT|\bx\.|_x\.", name)
        if roots and not example and not any((root / name).exists() for root in roots):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{p.name}" for p in PAGES)])
def test_the_names_of_the_examples_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("colliderkit"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ck":
                assert node.attr in colliderkit.__all__


def test_a_module_holds_one_noun():
    """Of 500 lines at most."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in ROOTS[1].rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert not long
