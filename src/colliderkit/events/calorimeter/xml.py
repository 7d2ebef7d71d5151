"""Geometries in the XML format of the CaloChallenge (2410.21611)."""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Layer
from colliderkit.files import atomic_file, existing_file

__all__ = ["read_xml", "write_xml"]

LONGEST = 10_000_000  # bytes


def read_xml(path: str | Path, particle: str | None = None) -> Geometry:
    """Read the geometry of one particle; a layer whose `r_edges` are "0" has no voxels.

    `particle` is the name in the file, needed where it has several. Raises `InputError` for a
    file that is no such XML, edges that do not rise or a particle that is not there. Entities
    are not expanded: a file with a document type is refused.
    """
    path = existing_file(path)
    if path.stat().st_size > LONGEST:
        raise InputError(f"{path}: has more than {LONGEST} bytes; a geometry has few.")
    text = path.read_bytes()
    try:
        refuse_document_type(path, text)
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no XML ({error}); copy it again.") from error
    particles = {bin.get("name", f"bin {i}"): bin for i, bin in enumerate(root.iter("Bin"))}
    if not particles:
        raise InputError(f"{path}: has no <Bin>; give a geometry of the CaloChallenge's format.")
    if particle is None and len(particles) > 1:
        raise InputError(f"{path}: holds {', '.join(particles)}; choose one of them as particle.")
    name = particle or next(iter(particles))
    if name not in particles:
        raise InputError(f"{path}: has no particle '{name}'; it holds {', '.join(particles)}.")
    layers = []
    try:
        for element in particles[name].iter("Layer"):
            number = int(element.attrib["id"])
            edges = tuple(float(edge) for edge in element.attrib["r_edges"].split(","))
            if len(edges) > 1:
                layers.append(Layer(number, edges, int(element.attrib["n_bin_alpha"])))
        pid = particles[name].get("pid")
        return Geometry(name, tuple(layers), None if pid is None else int(pid))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except KeyError as error:
        raise InputError(
            f"{path}: a layer has no {error}; see the CaloChallenge's files."
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: a layer holds no number ({error}).") from error


def refuse_document_type(path: Path, text: bytes) -> None:
    """Raise `InputError` for a document type, in whatever encoding, before it is read.

    Its entities could stand for gigabytes, or for other files.
    """

    def refuse(*_: object) -> None:
        raise InputError(f"{path}: has a document type, which a geometry does not need; remove it.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(text, True)


def write_xml(path: str | Path, geometry: Geometry, *, force: bool = False) -> Path:
    """Write a geometry of rings, with an empty layer for each number that is left out.

    Raises `InputError` for a layer of rectangular cells, which the format has no words for.
    """
    known = {layer.number: layer for layer in geometry.rounds}
    pid = "" if geometry.pid is None else f' pid="{geometry.pid}"'
    lines = ["<Bins>", f"  <Bin{pid} name={quoteattr(geometry.name)}>"]
    for number in range(max(known) + 1):
        layer = known.get(number)
        edges = "0" if layer is None else ",".join(f"{edge:g}" for edge in layer.r_edges)
        angles = 1 if layer is None else layer.angles
        lines.append(f'    <Layer id="{number}" r_edges="{edges}" n_bin_alpha="{angles}" />')
    lines += ["  </Bin>", "</Bins>", ""]
    with atomic_file(path, force) as part:
        part.write_text("\n".join(lines))
    return Path(path)
