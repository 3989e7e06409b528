"""The faults that mutate_cuda.py plants still fit the sources."""

import pytest

from tools.mutate_cuda import ROOT, Mutant, read_mutants

MUTANTS = read_mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_fault_can_be_planted(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert mutant.planted_in(text) != text


def test_names_tell_them_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
