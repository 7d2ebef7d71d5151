"""What was read and said: a line each, kept with the run and shown on its page."""

import json
import warnings

import numpy as np

from colliderkit.report.html import Report
from colliderkit.tasks.account import Account, account, add_account, kept, of_columns, of_jets
from samples import make_jets


def test_each_line_and_warning_is_kept_once(capsys, tmp_path):
    account("read nothing")
    with warnings.catch_warnings(record=True) as shown, kept() as found:
        warnings.simplefilter("always")
        account("read a: 3 events")
        account("read a: 3 events")
        for category in (UserWarning, UserWarning, DeprecationWarning):
            warnings.warn("two files", category, stacklevel=1)
    assert (found.read, found.said) == (["read a: 3 events"], ["two files"])
    assert len(shown) == 3  # they are shown as ever
    assert capsys.readouterr().out == "read a: 3 events\n"
    found.write(tmp_path)
    assert json.loads((tmp_path / "account.json").read_text()) == vars(found)
    page = Report("a page", "")
    add_account(page, tmp_path, {"account": {"read": ["read b: 2 events"], "said": []}})
    text = page.html()
    assert all(line in text for line in ("a: 3 events", "two files", "b: 2 events", "evaluation"))
    empty = Report("a page", "")
    add_account(empty, None, {})
    assert not empty.blocks
    assert vars(Account()) == {"read": [], "said": []}


def test_lines_of_tables_and_of_jets():
    columns = {"x": np.array([1.0, 2.0, 6.0, np.nan]), "event": np.arange(4)}
    assert of_columns(["a.root", "b.root"], columns, "x > 0") == (
        "read a.root, b.root (of which x > 0): 4 events; x 1 to 6 (mean 3), 1 times none;"
        " event 0 to 3 (mean 1.5)"
    )
    jets = make_jets(50)
    label = np.asarray(jets["label"])
    line = of_jets("jets.root", jets)
    pt = np.asarray(jets["jet_pt"])
    assert line.startswith("read jets.root: 50 events; ")
    assert f"jet_pt {pt.min():.4g} to {pt.max():.4g} GeV; each counts one; " in line
    assert line.endswith(f"labels 0: {50 - label.sum()}, 1: {label.sum()}")
    jets["weight"] = np.full(50, 0.5)
    assert "; sum of weights 25; " in of_jets("jets.root", jets)
