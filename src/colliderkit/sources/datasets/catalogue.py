"""The public data sets of the field: what they are, where they are, and how to get them.

Sizes and checksums are those that the records and the authors' own loaders publish; None where
neither was at hand.
"""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path

from colliderkit.errors import InputError
from colliderkit.files import alone, atomic_file
from colliderkit.progress import progress_bar

__all__ = ["BENCHMARKS", "Benchmark", "RemoteFile", "fetch"]

BLOCK = 1 << 20
TIMEOUT = 30.0  # s without a byte


@dataclass(frozen=True)
class RemoteFile:
    """Know a file of a record: `size` in bytes and `md5` in hex, None where not known."""

    name: str
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """Describe a public data set.

    `layout` is the one by which `colliderkit.sources.read` reads its files, None where it does
    not; `licence` is None where it is to be looked up in the record.
    """

    title: str
    record: int
    paper: str
    licence: str | None
    files: tuple[RemoteFile, ...]
    layout: str | None = None
    host: str = "https://zenodo.org"

    @property
    def doi(self) -> str:
        """The DOI of the record."""
        return f"10.5281/zenodo.{self.record}"

    def address(self, name: str) -> str:
        """Return where the file `name` is downloaded from."""
        return f"{self.host}/records/{self.record}/files/{name}?download=1"


def numbered(pattern: str, checksums: str) -> tuple[RemoteFile, ...]:
    """List files numbered from 0 with their MD5 sums."""
    return tuple(RemoteFile(pattern.format(i), md5=md5) for i, md5 in enumerate(checksums.split()))


BENCHMARKS: dict[str, Benchmark] = {
    # Arrays of npz: X (N, 51, 4 + parameters) of pt, y, phi, PDG code and the parameters, and Y,
    # the class; in the test files ``jet`` and observables.
    "dctr": Benchmark(
        title="e+e- to Z to dijets by Pythia 8 with three parameters varied, for reweighting",
        record=3518708,
        paper="arXiv:1907.08209",
        licence=None,
        files=(
            RemoteFile("1D_alphaS_train.npz"),
            RemoteFile("1D_aLund_train.npz"),
            RemoteFile("1D_probStoUD_train.npz"),
            RemoteFile("3D_train.npz"),
            RemoteFile("test1D_default.npz"),
            RemoteFile("test1D_alphaS.npz"),
            RemoteFile("test1D_aLund.npz"),
            RemoteFile("test1D_probStoUD.npz"),
            RemoteFile("test_3D_known.npz"),
        ),
    ),
    "jetclass": Benchmark(
        title="JetClass: 125 million jets of ten classes, Delphes",
        record=6619768,
        paper="arXiv:2202.03772",
        licence=None,
        layout="jetclass",
        files=(
            *numbered(
                "JetClass_Pythia_train_100M_part{}.tar",
                """de4fd2dca2e68ab3c85d5cfd3bcc65c3 9722a359c5ef697bea0fbf79bf50f003
                1e9f66cd1f915f9d10e90ae1d7761720 47348fc8985319fa4806da87500482fa
                6b0ce16bd93b442a8d51914466990279 416e347512e716de51d392bee327b8e9
                e9b9c1557b1b39bf0a16e4ab631ae451 5bfc6cb285ccb7680cefa9ac82ad1a2e
                540c1a0d66dfad78d2b363c5740ccf86 668f40b3275167ff7104c48317c0ae2a""",
            ),
            RemoteFile("JetClass_Pythia_val_5M.tar", md5="7235ccb577ed85023ea3ab4d5e6160cf"),
            RemoteFile("JetClass_Pythia_test_20M.tar", md5="64e5156d26d101adeb43b8388207d767"),
        ),
    ),
    "jetnet": Benchmark(
        title="JetNet: gluon, light-quark, top, W and Z jets of 1 TeV, 30 particles each",
        record=6975118,
        paper="arXiv:2106.11535",
        licence="CC BY 4.0",
        files=(
            RemoteFile("g.hdf5", 87_919_040),
            RemoteFile("q.hdf5", 84_658_832),
            RemoteFile("t.hdf5", 88_262_768),
            RemoteFile("w.hdf5", 87_879_360),
            RemoteFile("z.hdf5", 87_770_240),
        ),
    ),
    "lhco": Benchmark(
        title="LHC Olympics 2020, R&D: dijets with a hidden resonance, Delphes",
        record=4536377,
        paper="arXiv:2101.08320",
        licence=None,
        files=(
            RemoteFile("events_anomalydetection.h5"),
            RemoteFile("events_anomalydetection_v2.features.h5"),
            RemoteFile("events_anomalydetection_Z_XY_qqq.h5"),
        ),
    ),
    # Read by `colliderkit.sources.datasets.omnifold.read_omnifold`.
    "omnifold": Benchmark(
        title="Z + jets by Pythia (tune 26) and Herwig with Delphes, for unfolding",
        record=3548091,
        paper="arXiv:1911.09107",
        licence=None,
        files=(
            *numbered(
                "Pythia26_Zjet_pTZ-200GeV_{}.npz",
                """f498086acaee23eb7489ebc0c8bcdc8e d539ef707cf5e5ed7438d637b4b4e782
                f491b5c62347d5ed2679d6384b98cbb2 333ea6064d0ea9a7683ba02b19237ad5
                f8b0a49a50734ff708b390bee022401a e7847bbf3695d5f769e91c42c0047114
                1f00d0220c6537394f71d7cfac84316f 73e96c0565daa2acd5a3a4f9e3776784
                c17a0a30851f7b834dd5a063c0eb6cc2 6aa9a11a8529639790c581aacb655935
                a61273d34953cbed06a26866f01502ff de256d69b54703058f97ef486d91951a
                f7ba3ae2f9e38795ad5b1a1012da7842 15b7ce865401279488003cee318b5801
                b26367d575725ed85cf85d4a13f04029 b93a13ffb4af5f70b1f170109d273d99
                6ad41a7113bb48785c591f34a41d1439""",
            ),
            *numbered(
                "Herwig_Zjet_pTZ-200GeV_{}.npz",
                """3aba0470ce232c6ad9a091aaacb675d7 fdf60daa28b0a8f16d81c1ea3ff654a4
                43ee501b56633d08a8ee7bcdc4f44834 3290286b5038a977ee48ded8a06f8c04
                f5ed619ee14241773f852057932aae25 f308b0de95d35fa2349050a81e1480e9
                362c4441dda72b127c9511efafc9ecde ae478454b6b732b1d8593d4752d6f591
                c5e13131b64f4f34eb4041946625c553 1db209a0dc49aa2ce40e7cff47244e49
                571f91d7230d7972baa02c99cae07a47 4a68e9acf568c23949f063f161a8aaed
                2ad05c3339670c290d831a6022b21b7c f7b752ff38711b60c9558ff54fc4c326
                c295ecd2999dcf5766d880c0888db95e c068978e86ee38d265d15d06adc80683
                409f63cd8757e75f22bedeb61b789022""",
            ),
        ),
    ),
    "quark-gluon": Benchmark(
        title="Quark and gluon jets by Pythia 8 for energy flow, 500-550 GeV",
        record=3164691,
        paper="arXiv:1810.05165",
        licence=None,
        files=(
            RemoteFile("QG_jets.npz", md5="f5d052f10a79c6e8b9382637aca0ef52"),
            *numbered(
                "QG_jets_{}.npz",
                """- f6a1081c76a47386bc11abcf0e499552
                2628367c57ba598f4473c870d1381041 dd3ad998b0a1bd9acea2ecf029a8a921
                a56d6bb98361b55382aa8c06225e05d8 266c688e9e6ff1cd20840692d45eaaf8
                95a9f7e555fb7b1073967056b9030b11 4ae72aaabe121bd489532c99a6bdde95
                a2b80bd4199468fde4f302d346a8c9d8 1157cbace488c70c9dcfc250f3345b06
                4b424b553e1e7f852e47ea9904bc2dcf ccd29c9d1abb34dd7cfb48cfc57a9695
                1ed1f6f19fb8439c9811dced41d5127d af45818c361e11ca9b3adaba30db06ad
                488ced3ea409d7e2b196da67f7d182ec c5e083019de6cd6a0ef12bcec1ea566b
                48605d55edff665f0c7d2f800b5a622e 8fd47760957b5fd9adec9048b50cd1a9
                d43d611484b55391e891ba31c605f792 6753508e34014cc69714a01fca20ec38""",
            )[1:],  # the first file has no number
        ),
    ),
    "top-tagging": Benchmark(
        title="Top quark tagging reference: top and QCD jets, 550-650 GeV, Delphes",
        record=2603256,
        paper="arXiv:1902.09914",
        licence="CC BY 4.0",
        layout="top-tagging",
        files=(
            RemoteFile("train.h5", 1_038_496_555, "45663819f47c13724f67eb0fd80bfa5c"),
            RemoteFile("val.h5", 347_378_076, "dca4b7248027618f041f9baa86d360fc"),
            RemoteFile("test.h5", 347_849_376, "13163479dee30a5fe546e4536cc3d04d"),
        ),
    ),
    # Read by `colliderkit.sources.datasets.w_tagging.read_w_tagging`.
    "w-tagging": Benchmark(
        title="W and QCD jets, mass and ten high-level observables, for decorrelation",
        record=3606767,
        paper="arXiv:2001.05310",
        licence=None,
        files=(RemoteFile("W_high_level.npz", 155_520_682),),
    ),
}


def fetch(name: str, folder: str | Path, *, files: Sequence[str] | None = None) -> list[Path]:
    """Download `files` (default all) of the data set `name` into `folder`; return their paths.

    A file that is there already and of the right size and MD5 sum is kept, so that a broken
    series goes on where it ended. Size and sum are checked before a file takes its name.
    Raises `InputError` for an unknown name, for a file that does not match, and where there is
    no network: then with the address and the place to put the file by hand.
    """
    from rich.progress import DownloadColumn, TransferSpeedColumn

    if name not in BENCHMARKS:
        raise InputError(f"unknown data set '{name}'; known are {', '.join(BENCHMARKS)}.")
    benchmark, folder = BENCHMARKS[name], Path(folder)
    known = {file.name: file for file in benchmark.files}
    for one in files or ():
        if one not in known:
            raise InputError(f"{name} has no file '{one}'; its files are {', '.join(known)}.")
    paths = []
    with progress_bar(DownloadColumn(), TransferSpeedColumn()) as progress:
        for file in [known[one] for one in files] if files is not None else known.values():
            path = folder / file.name
            paths.append(path)
            with alone(path):
                if path.is_file():
                    if (wrong := _mismatch(file, path.stat().st_size, _md5(path))) is None:
                        continue
                    raise InputError(f"{path}: {wrong}; delete it to download it again.")
                task = progress.add_task(file.name, total=file.size)
                _download(benchmark, file, path, partial(progress.advance, task))
    return paths


def _download(
    benchmark: Benchmark, file: RemoteFile, path: Path, advance: Callable[[int], None]
) -> None:
    address = benchmark.address(file.name)
    by_hand = (
        f"fetch it from {address} (DOI {benchmark.doi}) with a machine that has a network and put"
        f" it at {path}"
    )
    digest, size = hashlib.md5(usedforsecurity=False), 0
    with atomic_file(path) as part:
        try:
            with (
                urllib.request.urlopen(address, timeout=TIMEOUT) as answer,
                open(part, "wb") as out,
            ):
                announced = answer.length
                while block := answer.read(BLOCK):
                    out.write(block)
                    digest.update(block)
                    size += len(block)
                    advance(len(block))
        except urllib.error.HTTPError as error:
            raise InputError(
                f"{file.name}: the server answers {error.code} {error.reason}; {by_hand}."
            ) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise InputError(f"{file.name}: no connection ({reason}); {by_hand}.") from error
        whole = replace(file, size=announced if file.size is None else file.size)
        if wrong := _mismatch(whole, size, digest.hexdigest()):
            raise InputError(f"{file.name}: what was downloaded {wrong}; try again, or {by_hand}.")


def _mismatch(file: RemoteFile, size: int, md5: str) -> str | None:
    if file.size is not None and size != file.size:
        return f"has {size} bytes where the record has {file.size}"
    if file.md5 is not None and md5 != file.md5:
        return f"has the MD5 sum {md5} where the record has {file.md5}"
    return None


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
