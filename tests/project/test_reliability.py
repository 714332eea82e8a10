"""Every row of the contract has a test, and the page says which."""

from __future__ import annotations

from ..rows import PAGE, ROWS, page, shown_by

ALL = [row for rows in ROWS.values() for row in rows]


def test_every_row_has_a_test() -> None:
    assert len(ALL) == len(set(ALL)) == 126
    assert [row for row in ALL if row not in shown_by()] == []


def test_every_test_has_a_row() -> None:
    assert shown_by().keys() - set(ALL) == set()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/rows.py"
