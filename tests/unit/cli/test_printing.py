"""JSON for machines, lines for people."""

from __future__ import annotations

import pytest

from trellis.cli.printing import printed


def test_an_answer_is_printed_as_json_or_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    printed([{"a": 1}], ["one", "two"], as_json=True, nothing="none")
    printed([{"a": 1}], ["one", "two"], as_json=False, nothing="none")
    assert capsys.readouterr().out == '[{"a": 1}]\none\ntwo\n'


def test_an_empty_answer_is_said_to_people_and_empty_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    printed([], [], as_json=True, nothing="none")
    printed([], [], as_json=False, nothing="none")
    printed([], [], as_json=False)
    assert capsys.readouterr().out == "[]\nnone\n"
