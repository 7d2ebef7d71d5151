"""Reports opened in a headless browser: what is clipped, what is too large, and pictures of all.

    python tests/pages.py FOLDER... --pictures PICTURES

Each report.html below the folders is laid out at 1200 and 400 pixels, and drawn in light and dark.
Named are elements that stand out of the page without a scroll bar of their own, and pages above
3 MB. It needs Chromium (`chromium`, or CHROMIUM), and is no part of .ci/run.
"""

import argparse
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = (1200, 400)
LARGEST = 3 << 20  # bytes
HEIGHT = 2600  # of a picture

# The page in a frame of a given width, and what stands out of it.
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="{address}" style="width:{width}px;height:{height}px;border:0"></iframe>
<pre id="found"></pre>
<script>
document.getElementById("page").onload = function () {{
  const page = this.contentDocument, found = [];
  const scrolls = (e) => {{
    for (; e && e !== page.body; e = e.parentElement)
      if (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX)) return true;
    return false;
  }};
  page.querySelectorAll("details").forEach((d) => (d.open = true));
  for (const e of page.body.querySelectorAll("*")) {{
    const box = e.getBoundingClientRect();
    if (box.width && box.right > {width} + 1 && !scrolls(e.parentElement))
      found.push(e.tagName + "." + e.className + " ends at " + Math.round(box.right));
  }}
  document.getElementById("found").textContent = JSON.stringify(found);
}};
</script>"""


def chromium(*arguments: str) -> str:
    """Run the browser and return what it printed."""
    command = [os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox"]
    command += ["--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout


def outside(page: Path, width: int, folder: Path) -> list[str]:
    """Return which elements of a page stand out of a window of `width` pixels."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(address=page.resolve().as_uri(), width=width, height=HEIGHT))
    shown = chromium("--virtual-time-budget=8000", "--dump-dom", frame.resolve().as_uri())
    found = re.search(r'<pre id="found">(.*?)</pre>', shown, re.S)
    if found is None or not found.group(1):
        return ["the page was not laid out"]
    elements: list[str] = json.loads(html.unescape(found.group(1)))
    return elements


def draw(page: Path, width: int, dark: bool, picture: Path, folder: Path) -> None:
    """Write a picture of the top of a page."""
    frame = folder / "picture.html"
    frame.write_text(
        f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}"'
        f' style="width:{width}px;height:{HEIGHT}px;border:0"></iframe>'
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    chromium(
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={max(width, 500)},{HEIGHT}",
        "--virtual-time-budget=8000",
        f"--screenshot={picture.resolve()}",
        frame.resolve().as_uri(),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of all")
    chosen = parser.parse_args()
    pages = sorted({page for folder in chosen.folders for page in folder.rglob("report.html")})
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="pages-") as name:
        folder = Path(name)
        for page in pages:
            said = [f"{page.stat().st_size / (1 << 20):.2f} MB"]
            wrong += page.stat().st_size > LARGEST
            for width in WIDTHS:
                found = outside(page, width, folder)
                wrong += bool(found)
                said.append(f"{width} px: {'; '.join(found[:4]) or 'nothing clipped'}")
                for dark in (False, True) if chosen.pictures else ():
                    scheme = "dark" if dark else "light"
                    picture = chosen.pictures / f"{page.parent.name}-{width}-{scheme}.png"
                    draw(page, width, dark, picture, folder)
            print(f"{page}: {', '.join(said)}", flush=True)
    print(f"{len(pages)} pages, {wrong} faults")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
