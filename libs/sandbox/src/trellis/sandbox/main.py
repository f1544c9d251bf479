"""The command `trellis-sandbox`: serve the sandbox, or look into its mailbox."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence

from aiohttp import web

from trellis.sandbox.app import create_app
from trellis.sandbox.world import SEED, World

DEFAULT_LISTEN = "127.0.0.1:8099"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "serve":
        host, _, port = str(options.listen).rpartition(":")
        if not port.isdigit():
            print(f"--listen needs HOST:PORT, not {options.listen}", file=sys.stderr)
            return 2
        asyncio.run(serve(host or "127.0.0.1", int(port), seed=options.seed))
        return 0
    return show_mailbox(options.url, options.account, as_json=options.json)


async def serve(host: str, port: int, *, seed: int = SEED) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one. The address is printed once calls are accepted."""
    runner = web.AppRunner(create_app(World(seed)), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    bound = runner.addresses[0]
    print(f"sandbox ready on http://{bound[0]}:{bound[1]}", flush=True)
    await stopped.wait()
    await runner.cleanup()


def show_mailbox(url: str, account: str | None, *, as_json: bool) -> int:
    """Print the invites that arrived, of one account or of all; 1 if the sandbox does not answer."""
    try:
        names = [account] if account else [str(a["name"]) for a in _get(f"{url}/control/accounts")]
        mails = [
            {"account": name, **mail}
            for name in names
            for mail in _get(f"{url}/control/accounts/{urllib.parse.quote(name)}/mailbox")
        ]
    except (urllib.error.URLError, OSError, ValueError) as error:
        print(f"the sandbox at {url} does not answer: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(mails, indent=2, ensure_ascii=False))
        return 0
    for mail in mails:
        print(f"{mail['at']}  {mail['account']}  to {mail['to']}")
        print(f"    {mail['subject']}")
        print(f"    {mail['url']}")
    print(f"{len(mails)} invite{'' if len(mails) == 1 else 's'} arrived")
    return 0


def _get(url: str) -> list[dict[str, object]]:
    if not url.startswith(("http://", "https://")):
        raise ValueError("the URL must begin with http:// or https://")
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the scheme is checked above
        found = json.load(answer)
    if not isinstance(found, list):
        raise ValueError("unexpected answer")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trellis-sandbox", description="A Greenhouse and a Coderbyte to run Trellis against"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve both vendors and the control API")
    serving.add_argument("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="default %(default)s")
    serving.add_argument("--seed", type=int, default=SEED, help="seed of invite keys")
    mailbox = commands.add_parser("mailbox", help="show the invites that arrived")
    default_url = os.environ.get("TRELLIS_SANDBOX_URL", f"http://{DEFAULT_LISTEN}")
    mailbox.add_argument("--url", default=default_url, help="default $TRELLIS_SANDBOX_URL or %(default)s")
    mailbox.add_argument("--account", help="only this account")
    mailbox.add_argument("--json", action="store_true", help="as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
