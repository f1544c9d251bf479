"""A command and a reading become the exact HTTP request, as data. Pure.

Source: greenhouse fact sheet, sections 6.2, 6.3 and 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from typing import Any, Literal
from urllib.parse import urlsplit

from trellis.common.contracts.commands import AddNote, MoveApplication
from trellis.common.contracts.identifiers import CandidateId, StageId, UserId, note_marker
from trellis.greenhouse_actions.domain.readings import ApplicationView

REPORT_LINK = "{report_link}"
"""Stands in a note's text for the link of the report."""
_CUT = "…"


class FromSpace(StrEnum):
    """Which id a move's `from_stage_id` holds; Greenhouse's documents disagree (fact sheet, 6.2)."""

    JOB_INTERVIEW_STAGE = "job_interview_stage"
    APPLICATION_STAGE = "application_stage"

    @property
    def other(self) -> FromSpace:
        """The other one."""
        return FromSpace.APPLICATION_STAGE if self is self.JOB_INTERVIEW_STAGE else FromSpace.JOB_INTERVIEW_STAGE


class Route(StrEnum):
    """What is called of Harvest, whichever version: names for metrics, and for the scope that each needs in v3."""

    APPLICATIONS = "applications"
    APPLICATION_STAGES = "application_stages"
    CANDIDATES = "candidates"
    JOBS = "jobs"
    STAGES = "job_interview_stages"
    NOTES = "notes"
    USERS = "users"
    MOVE = "move"
    NOTE = "note"
    STANDING = "standing"

    @property
    def scope(self) -> str:
        """The scope a credential must have for it (fact sheet, 5.4)."""
        if self is Route.MOVE:
            return "harvest:applications:move"
        if self is Route.STANDING:
            return "harvest:applications:update"
        return "harvest:notes:create" if self is Route.NOTE else f"harvest:{self.value}:list"


class Permission(StrEnum):
    """The endpoints of Harvest v1 that are called; each is ticked for the key separately (fact sheet, 4 and 5.4)."""

    RETRIEVE_APPLICATION = "Retrieve Application"
    LIST_APPLICATIONS = "List Applications"
    MOVE_APPLICATION = "Move Application"
    LIST_CANDIDATES = "List Candidates"
    RETRIEVE_ACTIVITY_FEED = "Retrieve Activity Feed"
    ADD_NOTE = "Add Note"
    UPDATE_APPLICATION = "Update Application"
    LIST_JOBS = "List Jobs"
    RETRIEVE_JOB = "Retrieve Job"
    LIST_STAGES_OF_JOB = "List Job Stages for a Job"
    LIST_STAGES = "List Job Stages"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestRequest:
    """One write, in the words of Harvest v3: a path below the base address, and its JSON body."""

    route: Route
    path: str
    body: dict[str, Any] = field(repr=False)
    method: Literal["POST", "PATCH"] = "POST"


def move_request(
    command: MoveApplication, application: ApplicationView, to_stage: StageId, space: FromSpace
) -> HarvestRequest | None:
    """Return the plain move to *to_stage*, guarded by the stage it leaves.

    Returns:
        None when *space* needs the row of the visit and the reading has none.
    """
    from_id = command.from_stage_id if space is FromSpace.JOB_INTERVIEW_STAGE else application.row_id
    if from_id is None:
        return None
    return HarvestRequest(
        route=Route.MOVE,
        path=f"/applications/{int(command.application_id)}/move",
        body={"from_stage_id": int(from_id), "to_stage_id": int(to_stage)},
    )


def as_v1(request: HarvestRequest) -> HarvestRequest:
    """Return *request* in the words of Harvest v1 (fact sheet, section 4).

    Its note hangs on the candidate alone and names its author always. Its move and its update take the same body;
    both ids of a move are the job's stages.
    """
    if request.route in (Route.MOVE, Route.STANDING):
        return request
    return HarvestRequest(
        route=request.route,
        path=f"/candidates/{request.body['candidate_id']}/activity_feed/notes",
        body={name: request.body[name] for name in ("user_id", "body", "visibility") if name in request.body},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteStyle:
    """How the account wants its notes: `note.visibility`, `note.max_chars`, `note.escape_markup`."""

    visibility: str = "public"
    most_characters: int = 10_000
    escape_markup: bool = True


def note_request(
    command: AddNote, candidate: CandidateId, author: UserId | None, style: NoteStyle, link: str | None
) -> HarvestRequest:
    """Return the note on the application, its marker as the last line.

    Args:
        command: What to write.
        candidate: The application's candidate as just read; Greenhouse does not check it.
        author: Whom Greenhouse shows as its author; None leaves it to the token.
        style: The account's way.
        link: Put where the text says `{report_link}`; None drops the lines that say so.
    """
    body: dict[str, Any] = {
        "candidate_id": int(candidate),
        "application_id": int(command.application_id),
        "body": note_body(command.text, note_marker(command.command_id), style, link),
        "visibility": style.visibility,
        "note_type": "NOTE",
    }
    if author is not None:
        body["user_id"] = int(author)
    return HarvestRequest(route=Route.NOTE, path="/notes", body=body)


def note_body(text: str, marker: str, style: NoteStyle, link: str | None) -> str:
    """Return *text* with its link, made harmless, cut to the account's length, and *marker* as last line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    if link is None:
        lines = [line for line in lines if REPORT_LINK not in line]
    written = "\n".join(_harmless(line, style, link) for line in lines).rstrip()
    room = max(style.most_characters - len(marker) - 1, 0)
    if len(written) > room:
        written = _shortened(lines, style, link, room)
    return f"{written}\n{marker}" if written else marker


def _harmless(line: str, style: NoteStyle, link: str | None) -> str:
    parts = line.split(REPORT_LINK)
    safe = [escape(part, quote=False) if style.escape_markup else part for part in parts]
    return (link or "").join(safe)


def _shortened(lines: Sequence[str], style: NoteStyle, link: str | None, room: int) -> str:
    """Cut whole lines first, then the last one by characters, never inside an escaped sign or a link."""
    kept: list[str] = []
    used = len(_CUT)
    for line in lines:
        written = _harmless(line, style, link)
        if used + len(written) + 1 > room:
            if REPORT_LINK not in line:
                kept.append(_first_signs(line, style, room - used - 1))
            break
        kept.append(written)
        used += len(written) + 1
    return ("\n".join(kept).rstrip() + _CUT)[: max(room, 0)]


def _first_signs(line: str, style: NoteStyle, room: int) -> str:
    written, used = [], 0
    for sign in line:
        safe = _harmless(sign, style, None)
        used += len(safe)
        if used > room:
            break
        written.append(safe)
    return "".join(written)


def allowed_link(link: str | None, hosts: Sequence[str]) -> str | None:
    """Return *link* if it leads to one of *hosts* or below it and cannot break out of a note; else None.

    A host is a name, which covers its subdomains and https only; or `name:port`, which is matched exactly
    and may be plain http (a sandbox).
    """
    if link is None or len(link) > 2000 or any(sign in "<>\"'`\\" or sign.isspace() for sign in link):
        return None
    if not link.isascii() or not link.isprintable():
        return None
    try:
        parts = urlsplit(link)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None:
        return None
    for host in hosts:
        if ":" in host:
            if place == host.lower() and parts.scheme in ("http", "https"):
                return link
        elif parts.scheme == "https" and parts.port in (None, 443) and _below(parts.hostname or "", host.lower()):
            return link
    return None


def _below(name: str, host: str) -> bool:
    return name == host or name.endswith("." + host)
