"""The commands about restored mode."""

from __future__ import annotations

import getpass

import click

from trellis.cli import asking
from trellis.cli.environment import with_clients
from trellis.cli.printing import printed
from trellis.cli.restoring import restoration_lines


@click.group()
def restored() -> None:
    """Show and end restored mode: a database from a backup, or a copy, sends nothing until a person says so."""


@restored.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restored_status(*, as_json: bool) -> None:
    """Show whether the database counts as restored, and what was found since."""
    found = with_clients(asking.restoration)
    printed(found, restoration_lines(found), as_json=as_json)


@restored.command("end")
@click.option("--yes", is_flag=True, help="Do it; without it the state is only shown.")
@click.option("--uncompared", is_flag=True, help="Also before Greenhouse was compared with the log.")
@click.option("--without-erasures", is_flag=True, help="Also before the journal of erasures was applied again.")
def restored_end(*, yes: bool, uncompared: bool, without_erasures: bool) -> None:
    """Say that this database is the one that works, and let effects begin again.

    Nothing else may work on the same accounts: not the system it was copied from, nor another copy.
    """
    found = with_clients(asking.restoration)
    click.echo("\n".join(restoration_lines(found)))
    if not found["is_on"]:
        return
    if found["not_compared"] and not uncompared:
        raise click.ClickException(
            f"not yet compared with Greenhouse: {', '.join(found['not_compared'])}; see `trellis reconcile status`, "
            "or say --uncompared"
        )
    if not found["erasures_replayed"] and not without_erasures:
        raise click.ClickException(
            "whoever was erased since the backup may be in this database again: "
            "`trellis erasures replay FILE` with the latest export, or say --without-erasures"
        )
    if not yes:
        click.echo("say --yes to let effects begin again")
        return
    by = f"cli:{getpass.getuser()}"
    with_clients(lambda known: asking.end_restoration(known, by))
    click.echo("ended: what was proven absent is looked up once more, then effects begin")
