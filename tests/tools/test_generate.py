"""What is written by a tool says what the sources say now."""

import pytest

from tools import generate


@pytest.mark.parametrize("name", generate.files())
def test_the_file_is_up_to_date(name: str) -> None:
    assert (generate.ROOT / name).read_text() == generate.files()[name], "run `python -m tools.generate`"
