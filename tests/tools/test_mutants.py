"""The faults that mutate_cuda.py plants still fit the sources, and the page shows what became of them."""

import json
from pathlib import Path

import pytest

from tools import mutate_cuda
from tools.mutate_cuda import ROOT, Mutant, drawn, read_mutants, read_results

MUTANTS = read_mutants()
RESULTS = {
    "a barrier is lost": {"file": "a.cu", "old": "a", "new": "", "date": "2020-01-05", "noticed_by": "x.py::test[a|b]"},
    "a tail is dropped": {"file": "a.cu", "old": "b", "new": "c", "date": "2019-12-31", "noticed_by": None},
    "1 is added twice": {"file": "b.h", "old": "d", "new": "e", "date": "2020-01-02", "noticed_by": None},
}
LIST = """Title

legend

@ a.cu

synchronisation: a barrier is lost
- a

tail: a tail is dropped
- b
+ c

@ b.h

term: 1 is added twice
- d
+ e
= nothing depends on it

sign: minus
- f
"""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_fault_can_be_planted(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert mutant.planted_in(text) != text


def test_names_tell_them_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_the_page_is_their_results() -> None:
    known, results = json.loads(mutate_cuda.RESULTS.read_text())["mutants"], read_results(MUTANTS)
    forgotten = known.keys() - results.keys()
    assert not forgotten, "of faults that are in the list no more, or were changed since they were tried"
    assert mutate_cuda.REPORT.read_text() == drawn(MUTANTS, results), "python -m tools.mutate_cuda --report writes it"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The files of results and of the page, of a list of four faults, three of which have a result."""
    listed, results, page = (tmp_path / name for name in ("list.txt", "results.json", "page.md"))
    listed.write_text(LIST)
    results.write_text(json.dumps({"mutants": RESULTS}))
    for name, file in (("MUTANTS", listed), ("RESULTS", results), ("REPORT", page)):
        monkeypatch.setattr(mutate_cuda, name, file)
    return results, page


def test_the_report_keeps_results_as_they_were(files: tuple[Path, Path]) -> None:
    results, page = files
    assert mutate_cuda.main(["--report"]) == 1  # since one is missed
    assert json.loads(results.read_text()) == {"mutants": RESULTS}
    lines = page.read_text().splitlines()
    said = "3 of 4 faults have a result (2019-12-31 to 2020-01-05): 1 noticed, 1 without any effect there, 1 missed."
    assert said in lines
    assert lines[-3:] == [
        "| a barrier is lost | synchronisation | `a.cu` | `x.py::test[a\\|b]` |",
        "| a tail is dropped | tail | `a.cu` | none: **missed** |",
        "| 1 is added twice | term | `b.h` | none: nothing depends on it |",
    ]


def test_the_report_drops_the_result_of_a_fault_that_was_changed(files: tuple[Path, Path]) -> None:
    results, page = files
    mutate_cuda.MUTANTS.write_text(LIST.replace("+ c", "+ C"))
    assert mutate_cuda.main(["--report"]) == 0
    assert json.loads(results.read_text())["mutants"].keys() == RESULTS.keys() - {"a tail is dropped"}
    assert "2 of 4 faults have a result (2020-01-02 to 2020-01-05): 1 noticed," in page.read_text()
