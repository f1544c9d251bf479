"""Joins the workflow's story with the two ledgers': one list of steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Step = dict[str, Any]
Row = Mapping[str, Any]

_SHOWN = {"attempting": "waiting", "unknown": "waiting", "in_doubt": "parked"}
_OPEN = ("waiting", "attempting", "unknown")


def joined(
    steps: Sequence[Step],
    rows: Iterable[Row],
    *,
    unreachable: Sequence[str] = (),
    messages: Iterable[tuple[str, str, str]] = (),
) -> list[Step]:
    """Return all steps by time, each effect's outcome taken from its ledger row.

    Args:
        steps: The workflow's.
        rows: Ledger rows with their journals, of both effect services.
        unreachable: Services that could not be asked; their effects keep what the workflow knows.
        messages: Messages about the application that could not be handled: since when, the fault, its remedy.
    """
    known = {row["id"]: row for row in rows}
    told = [dict(step) for step in steps if not _replaced(step, known)]
    settled = {step["command_id"] for step in told if step["kind"] == "outcome" and step.get("command_id")}
    for step in told:
        command = step.get("command_id")
        if step["kind"] == "command" and command not in known and command not in settled:
            step["outcome"] = "planned"
            step["until"] = None
    for row in known.values():
        told += _of_row(row)
    told += [_step(at, "message", text, reason=text, remedy=remedy) for at, text, remedy in messages]
    for service in unreachable:
        text = f"{service} cannot be reached: what it knows is missing here"
        told.append(_step("", "outcome", text, reason=text))
    return sorted(told, key=lambda step: step["at"] or "9")


def _replaced(step: Step, known: Mapping[str, Row]) -> bool:
    return step["kind"] == "outcome" and step.get("command_id") in known


def _of_row(row: Row) -> list[Step]:
    effect = row["action"]
    steps = []
    for entry in row["entries"]:
        if entry["kind"] == "command":
            continue
        request = f" (request {entry['request_id']})" if entry.get("request_id") else ""
        text = f"{effect}: {entry['text'] or entry['state']}{request}"
        steps.append(
            _step(
                entry["at"],
                "attempt",
                text,
                effect=effect,
                command_id=row["id"],
                attempt=entry["attempt"],
                visit=row["visit"],
            )
        )
    last = row["entries"][-1]["at"] if row["entries"] else ""
    state = row["state"]
    outcome = _SHOWN.get(state, state)
    reason = row.get("held_by") if state in _OPEN and row.get("held_by") else row["cause"]
    until = row["due_at"] if state in _OPEN else None
    text = (
        f"{effect} {outcome}" + (f": {reason}" if reason else "") + (f"; {row['remedy']}" if row.get("remedy") else "")
    )
    steps.append(
        _step(
            last,
            "outcome",
            text,
            effect=effect,
            outcome=outcome,
            reason=reason or None,
            until=until,
            remedy=row.get("remedy") or None,
            command_id=row["id"],
            state=state,
            visit=row["visit"],
        )
    )
    return steps


def _step(at: str, kind: str, text: str, **more: Any) -> Step:
    return {
        "at": at,
        "kind": kind,
        "text": text,
        "effect": None,
        "outcome": None,
        "reason": None,
        "until": None,
        **more,
    }
