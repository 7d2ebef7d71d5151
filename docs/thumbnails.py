"""Write docs/thumbnails/STUDY.png: the first figure of each study's report, small.

    python docs/thumbnails.py FOLDER...

FOLDER... hold complete runs of studies (`colliderkit study NAME --out FOLDER`), or folders of
them. A picture knows the scale of its run; one of a smaller scale does not replace it.
"""

import argparse
import json
from pathlib import Path

from PIL import Image, PngImagePlugin

HERE = Path(__file__).parent / "thumbnails"
SCALES = ("smoke", "laptop", "night", "paper")
WIDTH, COLOURS = 360, 32  # pixels; a picture is 5 to 20 kB


def scale_of(picture: Path) -> str:
    """Return the scale of the run that a picture is from."""
    with Image.open(picture) as image:
        return str(image.info["scale"])


def markdown(study: str, folder: str = "thumbnails") -> str:
    """Return the picture of a study as Markdown, with what it is; "" if there is none."""
    picture = HERE / f"{study}.png"
    if not picture.is_file():
        return ""
    scale = scale_of(picture)
    what = f"first figure of {study}, {scale} scale"
    note = "<br>*smoke run: shows the page, no number means anything*" if scale == "smoke" else ""
    return f"![{what}]({folder}/{study}.png){{width=220px}}{note}"


def write(run: Path) -> str:
    """Write the picture of a run and say so; "" if it has no figure or a better one is there."""
    request = json.loads((run / "study.json").read_text(encoding="utf-8"))
    figures = sorted((run / "figures").glob("*.png"))
    target = HERE / f"{request['study']}.png"
    known = SCALES.index(scale_of(target)) if target.is_file() else -1
    if not figures or known > SCALES.index(request["scale"]):
        return ""
    note = PngImagePlugin.PngInfo()
    note.add_text("scale", request["scale"])
    HERE.mkdir(exist_ok=True)
    with Image.open(figures[0]) as image:
        small = image.convert("RGB").resize(
            (WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS
        )
    small.quantize(COLOURS).save(target, optimize=True, pnginfo=note)
    return f"{target.name}: {figures[0].name} at {request['scale']}, {target.stat().st_size} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    for page in sorted(p for f in parser.parse_args().folders for p in f.rglob("report.html")):
        if (page.parent / "study.json").is_file() and (said := write(page.parent)):
            print(said)


if __name__ == "__main__":
    main()
