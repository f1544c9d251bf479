"""The commands that stop effects at once, and let them go on."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from typing import Any

import click

from trellis.cli import asking
from trellis.cli.environment import with_clients
from trellis.cli.printing import printed
from trellis.common.errors import InputError


@click.group()
def brake() -> None:
    """Stop effects at once, and let them go on: an account, a connection or a workflow."""


def _brake_options(command: Any) -> Any:
    command = click.option("--workflow", help="Only this workflow.")(command)
    command = click.option("--connection", type=click.Choice(["greenhouse", "coderbyte"]), help="Only this vendor.")(
        command
    )
    return click.option("--account", required=True)(command)


@brake.command("on")
@_brake_options
@click.option("--reason", default="", help="Kept and shown.")
def brake_on(account: str, connection: str | None, workflow: str | None, reason: str) -> None:
    """Put the brake on: no further effect begins; what is due waits."""
    _brake(account, connection, workflow, reason, on=True)


@brake.command("off")
@_brake_options
def brake_off(account: str, connection: str | None, workflow: str | None) -> None:
    """Take the brake off: what waited goes on."""
    _brake(account, connection, workflow, "", on=False)


@brake.command("status")
@_brake_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def brake_status(account: str, connection: str | None, workflow: str | None, *, as_json: bool) -> None:
    """Show which brakes are on."""
    found = with_clients(lambda known: asking.brakes(known, account))
    printed(found, _lines(found), as_json=as_json)


def _lines(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for service, items in found.items():
        for item in items:
            yield f"{service}: {item['scope']} {item['name']} since {item['since']} by {item['by']} {item['reason']}".strip()
        if not items:
            yield f"{service}: no brake is on"


def _brake(account: str, connection: str | None, workflow: str | None, reason: str, *, on: bool) -> None:
    if connection and workflow:
        raise InputError("--connection, --workflow", "one of them at most")
    scope = "connection" if connection else "workflow" if workflow else "account"
    name = connection or workflow or ""
    by = f"cli:{getpass.getuser()}"
    said = with_clients(lambda found: asking.brake(found, account, scope, name, on=on, reason=reason, by=by))
    for service, words in said.items():
        click.echo(f"{service}: {'brake on' if on else 'brake off'}: {words}")
    if any(words != "done" for words in said.values()):
        sys.exit(1)
