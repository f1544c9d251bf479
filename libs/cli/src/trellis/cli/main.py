"""The `trellis` command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from trellis.cli import asking, erasures, running
from trellis.cli import by_hand as hands
from trellis.cli.account_file import AccountFile
from trellis.cli.applying import apply as apply_file
from trellis.cli.brakes import brake
from trellis.cli.diagnosis import Report
from trellis.cli.doctor import examine
from trellis.cli.environment import with_clients as _with_clients
from trellis.cli.parked import parked
from trellis.cli.printing import printed
from trellis.cli.reading import FileError, read
from trellis.cli.restored import restored
from trellis.common.bus.topology import apply_topology
from trellis.common.errors import InputError, TransientError, TrellisError
from trellis.common.runtime.keyring import Keyring


def main() -> None:
    """Run the command; a fault of ours or of the input is one clear message and exit status 1 or 2."""
    try:
        cli(standalone_mode=True)
    except FileError as error:
        _fail(str(error), 2)
    except InputError as error:
        _fail(str(error), 2)
    except TransientError as error:
        _fail(f"{error}; try again", 1)
    except TrellisError as error:
        _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"trellis: {message}" if "\n" not in message else message, err=True)
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trellis-cli", prog_name="trellis")
def cli() -> None:
    """Trellis: Greenhouse and Coderbyte, joined."""


@cli.command()
@click.argument("service")
def run(service: str) -> None:
    """Run SERVICE in this process, or `all` to supervise one process of each."""
    if service == "all":
        sys.exit(running.run_all())
    running.run(service)


@cli.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 and name what is missing.")
@click.option("--post", is_flag=True, help="Run the contracting files, when no older release is left.")
def migrate(*, check: bool, post: bool) -> None:
    """Bring all schemas up to date (TRELLIS_MIGRATE_DATABASE_URL)."""
    names = asyncio.run(running.migrate(check=check, phase="post" if post else "pre"))
    for name in names:
        click.echo(("missing " if check else "applied ") + name)
    if check and names:
        sys.exit(1)
    if not names:
        click.echo("up to date")


@cli.command("apply-topology")
def topology() -> None:
    """Declare exchanges, queues, bindings and policies (TRELLIS_BROKER_URL, TRELLIS_BROKER_MANAGEMENT_URL)."""
    url = os.environ.get("TRELLIS_BROKER_URL")
    if not url:
        raise InputError("TRELLIS_BROKER_URL", "the broker's address", "amqp://user:password@host:5672/vhost")
    count = asyncio.run(apply_topology(url, os.environ.get("TRELLIS_BROKER_MANAGEMENT_URL")))
    click.echo(f"{count} queues declared")


@cli.command()
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The account's file; - reads it from the standard input.",
)
@click.option("--dry-run", is_flag=True, help="Print what would change and change nothing.")
def apply(path: Path, *, dry_run: bool) -> None:
    """Bring one account to what its file says."""
    file = read(path, os.environ)
    changes = _with_clients(lambda found: apply_file(found, file, path.parent, dry_run=dry_run))
    for change in changes:
        click.echo(("would change: " if dry_run else "") + change)
    if not changes:
        click.echo("nothing to change")


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the account's file."""
    made = AccountFile.model_json_schema(by_alias=True)
    click.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **made}, indent=2))


@cli.command()
@click.option("--account", help="Only this account.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def endpoints(account: str | None, *, as_json: bool) -> None:
    """Print the webhook addresses to paste, and each secret once after it was made."""
    found = _with_clients(lambda known: asking.endpoints(known, account))
    shown = [{key: item[key] for key in ("account", "vendor", "url", "secret")} for item in found]
    printed(shown, _endpoint_lines(found), as_json=as_json)


def _endpoint_lines(found: list[dict[str, Any]]) -> Iterator[str]:
    for item in found:
        yield f"{item['account']} {item['vendor']}"
        yield f"  url     {item['url']}"
        yield f"  secret  {item['secret'] or _no_secret(item['vendor'])}"
        yield f"  webhook {'connected at ' + item['connected_at'] if item.get('connected_at') else 'not pinged yet'}"
        for old in item.get("ending", ()):
            used = f"last used {old['last_used_at'][:19]}" if old["last_used_at"] else "never used"
            yield f"  old     secret accepted until {old['expires_at'][:19]}, {used}"
        silence = item.get("silence")
        if silence and silence["unusual"]:
            yield f"  silent  since {silence['since'][:19]}; about {silence['missing']:.0f} come in such a time"
            yield "  remedy  look in the vendor's settings whether the webhook is enabled and its address right"


def _no_secret(vendor: str) -> str:
    return "(its API key signs)" if vendor == "coderbyte" else "(shown once; `trellis keys rotate` makes a new one)"


@cli.group()
def keys() -> None:
    """Make and rotate keys."""


@keys.command("rotate")
@click.option("--account", required=True)
@click.option("--overlap", "overlap", default=57600.0, show_default=True, help="Seconds the old secret stays valid.")
def keys_rotate(account: str, overlap: float) -> None:
    """Make a new Greenhouse webhook secret beside the old one."""
    _with_clients(lambda found: asking.rotate(found, account, overlap))
    click.echo(f"a new webhook secret was made; the old one is valid for {overlap / 3600:g} more hours")
    click.echo(f"paste the one that `trellis endpoints --account {account}` prints once into Greenhouse")


@keys.command("generate")
def keys_generate() -> None:
    """Print a fresh key ring for TRELLIS_KEYRING_FILE. Keep it secret and back it up apart."""
    click.echo(Keyring.generate().to_json())


@cli.command()
@click.argument("application", type=int)
@click.option("--account", help="Needed only when several accounts have this id.")
@click.option("--all", "whole", is_flag=True, help="Also the rules whose trigger was another.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(application: int, account: str | None, *, whole: bool, as_json: bool) -> None:
    """Tell the story of APPLICATION (its Greenhouse id): what came in, what was decided and why."""
    story = _with_clients(lambda found: asking.why(found, application, account))
    if as_json:
        click.echo(json.dumps(story))
        return
    table = Table(
        title=f"application {application} of {story['account']}", title_justify="left", box=None, pad_edge=False
    )
    for heading in ("when (UTC)", "what", "text"):
        table.add_column(heading, overflow="fold", vertical="top")
    for step in story["steps"]:
        if step.get("verdict") == "untriggered" and not whole:
            continue
        until = f" until {step['until'][:19].replace('T', ' ')}" if step["until"] else ""
        table.add_row(step["at"][:19].replace("T", " "), step["kind"], step["text"] + until)
    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(table)


@cli.command()
@click.argument("application", type=int)
@click.option("--account", required=True)
def redecide(application: int, account: str) -> None:
    """Decide APPLICATION's stream again from its log and report differences; nothing is applied."""
    answer = _with_clients(lambda found: asking.redecide(found, application, account))
    click.echo(f"{answer['decisions']} decisions, {len(answer['differences'])} different")
    for item in answer["differences"]:
        click.echo(f"  at version {item['version']}: {item['recorded']} now {item['decided']}")
    if answer["differences"]:
        sys.exit(1)


@cli.group()
def offers() -> None:
    """Stage entries that no webhook told of in time: see them, and say yes to some."""


@offers.command("list")
@click.option("--account", required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def offers_list(account: str, *, as_json: bool) -> None:
    """List the entries that wait for a person's yes; `trellis why` tells the reason of each."""
    rows = _with_clients(lambda found: asking.offers(found, account))
    lines = (
        f"application {row['application_id']} in stage {row['stage_name'] or row['stage_id']}, found {row['since'][:19]}"
        for row in rows
    )
    printed(rows, lines, as_json=as_json, nothing="nothing is offered")


@offers.command("accept")
@click.argument("applications", type=int, nargs=-1, required=True)
@click.option("--account", required=True)
def offers_accept(applications: tuple[int, ...], account: str) -> None:
    """Act upon the offered entries of APPLICATIONS now, as if their webhooks had come; twice is once."""
    for application, words in _with_clients(lambda found: asking.accept(found, account, applications)).items():
        click.echo(f"application {application}: {words}")


cli.add_command(parked)
cli.add_command(restored)
cli.add_command(brake)
cli.add_command(hands.invite_links)
cli.add_command(hands.unmatched)
cli.add_command(hands.invite)
cli.add_command(erasures.erase)
cli.add_command(erasures.erasures)


@cli.group()
def reconcile() -> None:
    """Compare Greenhouse with the log: how far, and again from a time on."""


@reconcile.command("status")
@click.option("--account", required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile_status(account: str, *, as_json: bool) -> None:
    """Show up to when Greenhouse was compared with the log, and what stands in the way."""
    found = _with_clients(lambda known: asking.reconciliation(known, account))
    lines = [
        f"compared up to   {found['mark'] or 'nothing yet'}",
        f"complete at      {found['completed_at'] or 'never yet'}",
        f"next at          {found['due_at']}",
        f"applications     {found['read_count']} read",
        *([f"in the way       {found['cause']} ({found['tries']} tries)"] if found["cause"] else []),
    ]
    printed(found, lines, as_json=as_json)


@reconcile.command("again")
@click.option("--account", required=True)
@click.option("--since", required=True, type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC.")
def reconcile_again(account: str, since: datetime) -> None:
    """Compare again from SINCE on; what is old is offered and never acted upon by itself."""
    at = since.replace(tzinfo=UTC)
    moved = _with_clients(lambda found: asking.reconcile_again(found, account, at))
    click.echo(f"compared again from {at.isoformat()}" if moved else "nothing to do: it is not compared that far yet")


@cli.command()
@click.option("--account", help="Only this account's set-up, and what concerns all.")
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="An account's file whose references are looked at too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(account: str | None, path: Path | None, *, as_json: bool) -> None:
    """Name each fault of the set-up, what it means for those who wait, and its remedy; exit 1 if there is one."""
    file = None if path is None else read(path)
    report = asyncio.run(examine(account, file, Path() if path is None else path.parent))
    found = [{"account": item.account, **asdict(item.finding)} for item in report.found]
    answer = {"findings": found, "accounts": report.accounts, "not_looked_at": report.skipped}
    printed(answer, _report_lines(report), as_json=as_json)
    if report.found:
        sys.exit(1)


def _report_lines(report: Report) -> Iterator[str]:
    for item in report.found:
        yield f"{item.account or 'all accounts'}: {item.finding.fault}"
        yield f"  means   {item.finding.meaning}"
        yield f"  remedy  {item.finding.remedy}"
    for words in report.skipped:
        yield f"not looked at: {words}"
    if not report.found:
        yield f"nothing is wrong, as far as was looked ({', '.join(report.accounts) or 'no account'})"


@cli.command()
@click.option("--ready", is_flag=True, help="Ask for readiness instead of liveness.")
@click.option("--url", envvar="TRELLIS_ADMIN_URL", default="http://127.0.0.1:9090", show_default=True)
def health(url: str, *, ready: bool) -> None:
    """Exit 0 if the service at URL is live (or ready); for container health checks."""

    async def ask() -> int:
        timeout = aiohttp.ClientTimeout(total=3)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/health/{'ready' if ready else 'live'}") as answer,
        ):
            click.echo(await answer.text())
            return answer.status

    try:
        status = asyncio.run(ask())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise TransientError(f"{url} does not answer ({type(error).__name__})") from None
    sys.exit(0 if status == 200 else 1)
