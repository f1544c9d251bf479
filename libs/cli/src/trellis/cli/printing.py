"""What every command that asks something does with the answer: JSON for machines, lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click


def printed(found: object, lines: Iterable[str], *, as_json: bool, nothing: str = "") -> None:
    """Print *found* as JSON, or *lines*.

    Args:
        found: What was asked for; only ever values that JSON has.
        lines: The same for people.
        as_json: Which of the two.
        nothing: Said when there is no line.
    """
    if as_json:
        click.echo(json.dumps(found))
        return
    shown = list(lines)
    for line in shown:
        click.echo(line)
    if not shown and nothing:
        click.echo(nothing)
