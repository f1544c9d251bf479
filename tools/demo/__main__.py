"""`python -m tools.demo [--once] [--json]`: plays the story and exits 0 only if it came out as it must."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

import aiohttp
from rich.console import Console
from rich.table import Table

from tools.demo.control import Sandbox, trellis
from tools.demo.story import ACCOUNT, Story, held_of, parked_of, sandbox_url


def main() -> int:
    """Play the demo."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="play the story once, without a terminal, and end")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object on the last line")
    arguments = parser.parse_args()
    return asyncio.run(_play(as_json=arguments.json))


async def _play(*, as_json: bool) -> int:
    console = Console(stderr=as_json, highlight=False, width=None if sys.stdout.isatty() else 132)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        story = Story(Sandbox(session, sandbox_url(), ACCOUNT), lambda text: console.print(f"  · {text}"))
        console.print("[bold]Trellis demo[/bold]: seven people apply as Backend Engineer at Northwind.\n")
        await story.play()
        counts, faults, shown = await story.counts(), await story.faults(), await story.shown()
    console.print()
    console.print(_table(story, shown))
    console.print("\n[bold]Why?[/bold] `trellis why` tells of Gita, whose invite's answer was lost:\n")
    console.print(await trellis("why", str(story.cast["Gita"].application), "--account", ACCOUNT), markup=False)
    console.print(
        "Next: `./dev up` keeps a system with a sandbox running; then `./dev trellis --help`, `./dev logs -f`,"
    )
    console.print("and the sandbox's people in libs/sandbox/README.md. docs/configuration.md is the account's file.\n")
    for fault in faults:
        console.print(f"[bold red]not as it must be:[/bold red] {fault}")
    if counts["duplicate_effects"] or counts["lost"]:
        console.print("[bold red]not as it must be:[/bold red] effects doubled or facts lost")
        faults.append("doubled or lost")
    if as_json:
        print(json.dumps(counts), flush=True)
    else:
        console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items()))
    return 1 if faults else 0


def _table(story: Story, shown: dict[int, str]) -> Table:
    table = Table(title="What came of it", title_justify="left")
    for heading in ("who", "story", "Trellis says", "recruiters see"):
        table.add_column(heading, overflow="fold")
    for person in story.cast.values():
        said = [
            step["text"] for step in person.steps if step["kind"] == "outcome" or (step.get("held") and step["outcome"])
        ]
        mark = " (held)" if held_of(person.steps) else " (parked)" if parked_of(person.steps) else ""
        table.add_row(person.name + mark, person.story, "\n".join(said), shown.get(person.application, ""))
    return table


if __name__ == "__main__":
    sys.exit(main())
