"""The commands about what waits for a person: effects, and messages that could not be handled."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from trellis.cli import asking, parking
from trellis.cli.environment import with_clients
from trellis.cli.parking import Row
from trellis.cli.printing import printed
from trellis.common.dead_letters.letters import State as LetterState
from trellis.common.errors import PermanentError
from trellis.common.ledger.states import State

_STATES = frozenset((*State, *LetterState))
_ACCOUNT_HELP = "Whose; without it, messages that do not say whose they are."


@click.group()
def parked() -> None:
    """What waits for a person: see it, and decide it."""


@parked.command("list")
@click.option("--account", help=_ACCOUNT_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def parked_list(account: str | None, *, as_json: bool) -> None:
    """List what is parked by cause, with what each means for who waits and what would mend it."""
    rows = with_clients(lambda found: asking.parked(found, account))
    stray = [] if account is None or as_json else with_clients(lambda found: asking.parked(found, None))
    printed(
        [asdict(row) | {"meaning": row.meaning} for row in rows],
        listed(rows),
        as_json=as_json,
        nothing="nothing is parked",
    )
    if stray:
        click.echo(f"{len(stray)} messages do not say whose they are: see `trellis parked list`")


def listed(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines that tell of *rows*, cause by cause."""
    for cause, group in parking.grouped(rows):
        yield f"{len(group)} wait: {cause}"
        yield f"  remedy  {group[0].remedy or 'redrive or drop it'}"
        for row in group:
            yield f"  {row.id}  {row.what} since {row.since[:19]}"


@parked.command("show")
@click.argument("ident", metavar="ID")
@click.option("--account", help=_ACCOUNT_HELP)
def parked_show(ident: str, account: str | None) -> None:
    """Show what is parked under ID: why, what it means for the person waiting, and what can be done."""
    rows = with_clients(lambda found: asking.parked(found, account))
    row = next((row for row in rows if row.id == ident), None)
    if row is None:
        where = account or "no account"
        raise PermanentError(f"nothing is parked as {ident} in {where}; `trellis parked list` shows what is")
    printed(None, shown(row, account), as_json=False)


def shown(row: Row, account: str | None) -> Iterator[str]:
    """Yield the lines that tell all of one row."""
    yield f"{row.what}, parked since {row.since[:19]}"
    yield f"  why     {row.cause}"
    yield f"  means   {row.meaning}"
    yield f"  remedy  {row.remedy or 'redrive or drop it'}"
    if row.tried:
        yield f"  tried   {row.tried}"
    if row.application_id is not None:
        yield f"  story   trellis why {row.application_id} --account {account}"


def _order(name: str, text: str) -> None:
    @parked.command(name, help=text)
    @click.argument("commands", nargs=-1, metavar="[ID]...")
    @click.option("--account", help=_ACCOUNT_HELP)
    @click.option("--cause", help="All whose cause has these words.")
    @click.option("--all", "everything", is_flag=True, help="All that are parked in the account.")
    @click.option("--yes", is_flag=True, help="Do it; without it several are only shown.")
    @click.option("--reason", default="", help="Kept in the story; no personal data.")
    def give(
        commands: tuple[str, ...], account: str | None, cause: str | None, reason: str, *, everything: bool, yes: bool
    ) -> None:
        rows = with_clients(lambda found: asking.parked(found, account))
        plan = parking.planned(name, parking.chosen(rows, commands, cause, everything=everything), commands)
        todo = [item.row for item in plan if not item.skipped]
        for ident in parking.unknown(rows, commands):
            click.echo(f"{ident}: skipped: it is not parked")
        for item in plan:
            if item.skipped:
                click.echo(f"{item.row.id}: skipped: {item.skipped}")
        if len(commands) != 1 and not yes:
            for row in todo:
                click.echo(f"{row.id}: {name} {row.what}: {row.cause}")
            click.echo(f"{len(todo)} of {len(plan)} would be done; say --yes to do it")
            return
        by = f"cli:{getpass.getuser()}"
        said = with_clients(lambda found: asking.settle_all(found, account, name, todo, by=by, reason=reason))
        for ident, words in said.items():
            click.echo(f"{ident}: {words}")
        if len(commands) == 1 and not any(words in _STATES for words in said.values()):
            raise PermanentError(f"{commands[0]} was not changed; `trellis parked list` shows what waits")


_order("confirm", "Say that the effect in doubt did happen: it counts as done and is never sent again.")
_order("redrive", "Try again. For an invite in doubt this may send a second mail: ask the candidate first.")
_order("drop", "Give it up: the effect will not be made, the message not be handled.")
