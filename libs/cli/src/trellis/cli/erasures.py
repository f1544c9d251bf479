"""The commands that erase a person, and keep and apply the journal of erasures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any, Final, Literal

import click
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from trellis.cli.environment import Clients, with_clients
from trellis.common.errors import InputError, PermanentError

MOST: Final = 500
"""Erasures asked for, or sent, at once."""
_WHY: Final = {
    "deleted": "deleted in Greenhouse",
    "anonymized": "anonymised in Greenhouse",
    "by_hand": "erased by hand",
}


class Erased(BaseModel):
    """One line of the journal: ids only."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    account: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    candidate: int = Field(ge=1, lt=2**63)
    when: AwareDatetime
    why: Literal["deleted", "anonymized", "by_hand"]


def journal_of(lines: Iterable[str]) -> list[Erased]:
    """Return the erasures in *lines*, empty ones left out.

    Raises:
        InputError: A line is not one of an export; its number is named, nothing of it is repeated.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(Erased.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise InputError(
                f"line {number}" + (f", {where}" if where else ""),
                "a line that `trellis erasures export` printed",
                "take the whole file as it was exported",
            ) from None
    return found


def kept_lines(candidate: int, kept: dict[str, Any]) -> list[str]:
    """Return what is kept of *candidate*, for people."""
    state = "not erased" if kept["why"] is None else _WHY[kept["why"]]
    return [
        f"candidate {candidate}: {state}",
        f"  invites  {kept['invite_count']}, {kept['address_count']} with an address",
        f"  reports  {kept['report_count']}",
        f"  open     {kept['open_count']} effects are to be done or decided",
    ]


@click.command()
@click.argument("candidate", type=int)
@click.option("--account", required=True)
@click.option("--yes", is_flag=True, help="Do it; without it is only shown what is kept.")
def erase(candidate: int, account: str, *, yes: bool) -> None:
    """Drop for good what is kept of CANDIDATE (its Greenhouse id): addresses, links, reports, bodies of webhooks.

    What is open is given up, and nothing is done for the person any more. Ids stay, so that stories still read.
    Coderbyte and Greenhouse keep what they have: erase the person there too. Twice is once.
    """
    path = f"/internal/v1/accounts/{account}/candidates/{candidate}"
    kept = with_clients(lambda found: found["assessments"].call("GET", f"{path}/kept"))
    click.echo("\n".join(kept_lines(candidate, kept)))
    if kept["merged_into"] is not None:
        raise PermanentError(f"it was merged: what was its is candidate {kept['merged_into']}'s; erase that one")
    if not yes:
        click.echo("it would be erased and cannot be brought back; say --yes to do it")
        return
    with_clients(lambda found: found["assessments"].call("POST", f"{path}/erase"))
    click.echo("ordered: it is erased within seconds; the same command shows that nothing is kept")


@click.group()
def erasures() -> None:
    """The journal of erasures: export it, keep it apart from the backups, apply it again after a restore."""


@erasures.command("export")
def erasures_export() -> None:
    """Print every erasure of all accounts, one JSON object a line: account, candidate, when, why."""
    for item in with_clients(exported):
        click.echo(json.dumps(item, separators=(",", ":")))


@erasures.command("replay")
@click.argument("file", type=click.File(encoding="utf-8"))
def erasures_replay(file: IO[str]) -> None:
    """Apply the erasures in FILE (`-` is the standard input) again; those that are known change nothing."""
    found = journal_of(file)
    with_clients(lambda known: replay(known, found))
    click.echo(f"{len(found)} erasures are on their way again")


async def exported(clients: Clients) -> list[dict[str, Any]]:
    """Return the whole journal, in the order of account and candidate."""
    found: list[dict[str, Any]] = []
    after = "/0"
    while True:
        answer = await clients["assessments"].call("GET", f"/internal/v1/erasures?most={MOST}&after={after}")
        found += answer["erasures"]
        if len(answer["erasures"]) < MOST:
            return found
        after = f"{found[-1]['account']}/{found[-1]['candidate']}"


async def replay(clients: Clients, found: Sequence[Erased]) -> None:
    """Put *found* on their way again and note that it was done."""
    by_account: dict[str, list[Erased]] = {}
    for item in found:
        by_account.setdefault(item.account, []).append(item)
    for account, own in by_account.items():
        for first in range(0, len(own), MOST):
            batch = [item.model_dump(mode="json", exclude={"account"}) for item in own[first : first + MOST]]
            body = {"erasures": batch}
            await clients["assessments"].call("POST", f"/internal/v1/accounts/{account}/erasures/replay", body)
    await clients["assessments"].call("POST", "/internal/v1/erasures/replayed", {"count": len(found)})


async def replayed_since(clients: Clients, began: datetime) -> bool:
    """Return whether a journal was applied again after *began*."""
    answer = await clients["assessments"].call("GET", "/internal/v1/erasures?most=0")
    return answer["replayed_at"] is not None and datetime.fromisoformat(answer["replayed_at"]) >= began
