"""Files of accesses: names, units and orders that people have, and what is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.files.accesses import read_accesses

LINES = """time,lfn,filesize,tier
2024-03-01 12:00:00,b,2000000000,AOD
2024-03-02 00:00:00,a,500000000,NTUP
2024-03-02 18:00:00,b,2000000000,AOD
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_dates_bytes_and_usual_names(tmp_path):
    accesses, said = read_accesses(written(tmp_path / "a.csv", LINES))
    np.testing.assert_allclose(np.diff(accesses.time), [0.5, 0.75])
    assert accesses.time[0] == 19783.5  # days since 1970
    assert [accesses.names[i] for i in accesses.dataset] == ["b", "a", "b"]
    np.testing.assert_allclose(accesses.size, [2.0, 0.5])
    assert list(accesses.features) == ["tier"]
    assert any("as dates" in line for line in said)
    assert any("bytes, as no unit" in line for line in said)
    assert any("dataset from lfn" in line for line in said)


def test_a_code_of_text_is_the_same_in_another_file(tmp_path):
    first, _ = read_accesses(written(tmp_path / "a.csv", LINES))
    one = "".join(line + "\n" for line in LINES.splitlines() if "NTUP" not in line)
    second, _ = read_accesses(written(tmp_path / "b.csv", one))
    assert second.features["tier"][0] == first.features["tier"][0]


def test_parquet_columns_by_name_and_units(tmp_path):
    table = pa.table({"when": [1.0, 2.5], "what": [7, 8], "big_mb": [100.0, 200.0]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    columns = {"time": "when", "dataset": "what", "size": "big_mb"}
    with pytest.raises(InputError, match="may be days, hours or seconds; say which by time_unit"):
        read_accesses(tmp_path / "a.parquet", columns)
    accesses, _ = read_accesses(tmp_path / "a.parquet", columns, time_unit="hours")
    np.testing.assert_allclose(accesses.time, [1 / 24, 2.5 / 24])
    np.testing.assert_allclose(accesses.size, [0.1, 0.2])
    assert accesses.names == ("7", "8")


def test_epochs_are_known(tmp_path):
    for name, unit in (("s", 1), ("ms", 1000)):
        text = f"timestamp,dataset,size_gb\n{1700000000 * unit},a,1\n{1700086400 * unit},a,1\n"
        accesses, said = read_accesses(written(tmp_path / f"{name}.csv", text))
        assert np.diff(accesses.time)[0] == pytest.approx(1.0)
        assert "seconds since 1970" in said[0]


def test_several_files_are_joined_in_time(tmp_path):
    late = written(tmp_path / "late.csv", LINES.replace("2024-03", "2024-04"))
    early = written(tmp_path / "early.csv", LINES)
    accesses, _ = read_accesses([late, early])
    assert len(accesses) == 6
    assert (np.diff(accesses.time) > 0).all()
    with pytest.raises(InputError, match="times of the files overlap"):
        read_accesses([early, written(tmp_path / "x.csv", LINES.replace("12:00", "13:00"))])


BAD = [
    (LINES.replace("03-02 18", "02-02 18"), "time of row 2 .* is before that of the row before"),
    (LINES.replace("500000000", "0"), r"filesize is 0 for a; a cache holds sizes above 0"),
    (LINES.replace("500000000", "-5"), "filesize is -5 for a"),
    (LINES.replace("500000000", ""), r"filesize is missing in row 1"),
    (LINES.replace("2024-03-02 00:00:00", "yesterday"), "time 'yesterday' is no date"),
    (LINES.replace("filesize", "weight"), "no column is known to be the size"),
    (LINES.replace("tier", "timestamp"), "several columns may be the time: time, timestamp"),
    (LINES.replace("500000000", "large"), "holds no numbers"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_what_is_wrong_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        read_accesses(written(tmp_path / "a.csv", text))
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_a_sort_is_said_and_a_size_that_changes_too(tmp_path):
    text = LINES.replace("03-02 18", "02-02 18")
    accesses, said = read_accesses(written(tmp_path / "a.csv", text), sort=True)
    assert any("1 rows were out of order and are sorted" in line for line in said)
    assert [accesses.names[i] for i in accesses.dataset] == ["b", "b", "a"]
    grown = LINES.replace("18:00:00,b,2", "18:00:00,b,3")
    with pytest.warns(UserWarning, match="1 data sets change their filesize"):
        accesses, _ = read_accesses(written(tmp_path / "b.csv", grown))
    assert accesses.size[0] == 3.0
    with pytest.raises(InputError, match="no column 'wen'"):
        read_accesses(tmp_path / "b.csv", {"time": "wen"})
