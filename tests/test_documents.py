"""Documents: the files that they name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
