"""The commands by which a person acts on one application by hand."""

from __future__ import annotations

from typing import Any

import click

from trellis.cli import asking
from trellis.cli.environment import with_clients
from trellis.cli.printing import printed
from trellis.common.errors import PermanentError

_KINDS = {"started": "an assessment begun", "completed": "a result", "reviewed": "a reviewed result"}


@click.command("invite-links")
@click.argument("application", type=int)
@click.option("--account", required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def invite_links(application: int, account: str, *, as_json: bool) -> None:
    """Print the private links of APPLICATION's invites, to hand over where Coderbyte mails nobody.

    Whoever has a link can take the assessment with it.
    """
    rows = with_clients(lambda found: asking.invite_links(found, account, application))
    lines = (f"{row['assessment_id']} in stage visit {row['visit']}: {row['link']}" for row in rows)
    nothing = f"no link is known of application {application}'s invites"
    printed(rows, lines, as_json=as_json, nothing=nothing)


@click.group()
def unmatched() -> None:
    """What Coderbyte told that matches no invite: see it, and say whose it is."""


@unmatched.command("list")
@click.option("--account", required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def unmatched_list(account: str, *, as_json: bool) -> None:
    """List what matches nothing, with its cause and whose it may be; names are looked up in Greenhouse."""
    rows = with_clients(lambda found: asking.unmatched(found, account))
    lines = (line for row in rows for line in told(row))
    printed(rows, lines, as_json=as_json, nothing="nothing is unmatched")


@unmatched.command("attach")
@click.argument("signal")
@click.argument("application", type=int)
@click.option("--account", required=True)
@click.option("--yes", is_flag=True, help="Do it; without it is only shown what would be done.")
def unmatched_attach(signal: str, application: int, account: str, *, yes: bool) -> None:
    """Take the unmatched SIGNAL for APPLICATION's: its report is read and its rules are judged, once.

    It counts for the stage visit that the application is in; no invite to this assessment goes out there any more.
    """
    rows = with_clients(lambda found: asking.unmatched(found, account))
    row = next((row for row in rows if row["id"] == signal), None)
    if row is None:
        raise PermanentError(f"nothing unmatched in {account} has the id {signal}; see `trellis unmatched list`")
    if row["assessment_id"] is None:
        raise PermanentError("it is an interview's: there is no report to read")
    click.echo("\n".join(told(row)))
    if application not in [item["application_id"] for item in row["suggestions"]]:
        click.echo(f"  note    application {application} is not suggested: it has no open invite to this assessment")
    if not yes:
        click.echo(f"it would be taken for application {application}'s; say --yes to do it")
        return
    assessment = row["assessment_id"]
    visit = with_clients(
        lambda found: asking.order(found, account, application, "attach", assessment=assessment, signal=signal)
    )
    click.echo(
        f"ordered for stage visit {visit}; `trellis why {application} --account {account}` tells what comes of it"
    )


@click.group()
def invite() -> None:
    """Act on one application's invite by hand, in the stage visit that it is in."""


def _order(name: str, text: str, doing: str) -> None:
    @invite.command(name, help=text)
    @click.argument("application", type=int)
    @click.option("--account", required=True)
    @click.option("--assessment", help="Coderbyte's id of the assessment.", required=name == "swap")
    @click.option("--yes", is_flag=True, help="Do it; without it is only shown what would be done.")
    def give(application: int, account: str, assessment: str | None, *, yes: bool) -> None:
        about = f" ({assessment})" if assessment else ""
        if not yes:
            rows = with_clients(lambda found: asking.invites(found, account, application))
            click.echo("\n".join(invites_told(application, rows)))
            click.echo(f"{doing}{about}; say --yes to do it")
            return
        visit = with_clients(lambda found: asking.order(found, account, application, name, assessment=assessment))
        click.echo(
            f"ordered for stage visit {visit}; `trellis why {application} --account {account}` tells what comes of it"
        )


_order(
    "send",
    "Invite APPLICATION now, at most once a stage visit; to the assessment of its stage's rules unless one is named.",
    "it would be invited",
)
_order(
    "swap",
    "Invite APPLICATION to another assessment instead of the open one, which is withdrawn.",
    "its open invite would be withdrawn and another sent",
)
_order(
    "excuse",
    "Await no result of APPLICATION in this stage visit: open invites are withdrawn, no result is judged. Moving it on is yours.",
    "its open invites would be withdrawn and no result judged in this stage visit",
)
_order(
    "withdraw",
    "Take APPLICATION's open invite back. One that went out cannot be: its result is shown and not acted upon.",
    "its open invite would be withdrawn",
)


def invites_told(application: int, rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines that tell how the invites of *application* stand."""
    if not rows:
        return [f"application {application} has no invite"]
    return [
        f"invite of stage visit {row['visit']}: {row['state']}" + (f": {row['cause']}" if row["cause"] else "")
        for row in rows
    ]


def told(row: dict[str, Any]) -> list[str]:
    """Return the lines that tell of one unmatched signal."""
    what = _KINDS.get(row["kind"], "an interview")
    about = f" of {row['assessment_id']}" if row["assessment_id"] else ""
    lines = [
        f"{row['id']}  {what}{about}, told {row['received_at'][:19].replace('T', ' ')}",
        f"  cause   {row['reason']}",
    ]
    for item in row["suggestions"]:
        lines.append(f"  maybe   application {item['application_id']}: {'; '.join(item['reasons'])}")
    if not row["suggestions"]:
        lines.append("  maybe   nobody who was invited to it")
    return lines
