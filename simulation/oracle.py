"""Judges a history by what entered and what the vendors saw; of our own state it reads only what people are shown.

Each predicate is one of the design's promises (section 4), written without any of the code it judges.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from simulation.oracle_of_finding import finding
from simulation.oracle_of_orders import orders
from simulation.oracle_of_people import people
from simulation.oracle_of_poison import poison
from simulation.oracle_of_restores import forgotten_then, restores, under_way_then
from simulation.oracle_of_results import results
from simulation.oracle_of_reuse import reuse
from simulation.oracle_of_tags import tags
from simulation.oracle_reading import log_of, seconds
from simulation.poison import parked_rows
from trellis.common.contracts.commands import BY_HAND, Action
from trellis.common.contracts.envelope import encode
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import note_marker, stream_id
from trellis.common.dead_letters.letters import State as Letter
from trellis.common.ledger.states import FINAL, State
from trellis.common.store.inbox import keys_of
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import fold, initial_state
from trellis.workflow.redeciding import redecide

if TYPE_CHECKING:
    from simulation.vendors import Done
    from simulation.world import World

READING_SECONDS = 10.0
AWAY = "does not answer"
"""In the reason of a row that waits for a vendor; when nothing fails any more, none does."""
CODING, AFTER_CODING = "Coding Assessment", "Onsite"


def judge(world: World) -> list[str]:
    """Return every broken promise, each with what broke it."""
    return [
        *_nothing_lost(world),
        *_one_effect(world),
        *_recruiter_wins(world),
        *_nothing_silent(world),
        *_apart(world),
        *_same_decisions(world),
        *_believes_the_truth(world),
        *people(world),
        *_settled_first(world),
        *_recorded_once(world),
        *finding(world),
        *_nothing_given_up(world),
        *results(world),
        *reuse(world),
        *tags(world),
        *poison(world),
        *restores(world),
        *orders(world),
        *_nothing_kept(world),
        *world.lines.broken(),
    ]


def _nothing_lost(world: World) -> Iterator[str]:
    known = {
        "workflow.inbound": world.memories["workflow"].table("inbox"),
        "assessments.inbound": world.memories["assessments"].table("inbox"),
    }
    dead = {item.body for queue in world.broker.queues.values() if "dead" in queue.name for item in queue.ready}
    dead |= {row["death"].body for row in parked_rows(world) if row["state"] is not Letter.REDRIVEN}
    for envelope in world.accepted:
        for queue in world.broker.routed.get(envelope.routing_key, []):
            inbox = known.get(queue)
            if inbox is None or encode(envelope) in dead:
                continue
            if not any((envelope.accountid, key) in inbox for key in keys_of(envelope)):
                yield f"P2: {envelope.type} {envelope.id} was accepted and never reached {queue}"
    yield from _recorded(world)


def _recorded(world: World) -> Iterator[str]:
    """An application that facts told of is in the log."""
    events = world.memories["workflow"].table("event")
    for envelope in world.accepted:
        told = getattr(envelope.data, "application", None)
        if told is not None and (stream_id(envelope.accountid, told.application_id), 1) not in events:
            yield f"P2: nothing of application {told.application_id} of {envelope.accountid} is in the log"


def _one_effect(world: World) -> Iterator[str]:
    notes = Counter((done.account, done.detail) for done in world.done if done.kind == "note")
    for (account, marker), count in notes.items():
        if count > 1:
            yield f"P3: the note {marker} of {account} was written {count} times"
    # Harvest v1 does not tell a restored database that a move of ours, which it forgot, was taken back by a person.
    forgotten: dict[str | None, float] = {world.through_v1: world.put_back_at or 0.0}
    moves = Counter(
        (done.account, done.application)
        for done in world.done
        if done.kind == "move" and done.left_at >= forgotten.get(done.account, 0.0)
    )
    decided: dict[Any, set[Any]] = {}
    for row in world.logged():
        if isinstance(event := row["recorded"].event, e.MoveRequested):
            decided.setdefault((row["account"], row["stream"]), set()).add(event.command_id)
    for (account, application), count in moves.items():
        coding = world.greenhouses[account].stage(CODING)
        changes = world.changes[account, application]
        stays = sum(stage == coding and is_active for _, stage, is_active in changes)
        if count > len(decided.get((account, stream_id(account, application)), ())):
            yield f"P3: application {application} of {account} was moved more often than was decided: {count} times"
        if count > stays:
            yield f"P3: application {application} of {account} was moved {count} times in {stays} visits"


def _recruiter_wins(world: World) -> Iterator[str]:
    """Some reading at most ten seconds before it left must have allowed each effect."""
    for done in world.done:
        if not _was_allowed(world, done):
            yield (
                f"P4: {done.kind} on application {done.application} of {done.account} left at {done.left_at:.3f}, "
                "and a person had changed it more than ten seconds before"
            )


def _was_allowed(world: World, done: Done) -> bool:
    changes = world.changes.get((done.account, done.application), [])
    coding = world.greenhouses[done.account].stage(CODING)
    following = world.greenhouses[done.account].stage(AFTER_CODING)
    begins = done.left_at - READING_SECONDS - 0.01
    for number, (at, stage, is_active) in enumerate(changes):
        until = changes[number + 1][0] if number + 1 < len(changes) else float("inf")
        if at > done.left_at or until < begins:
            continue
        ours = done.kind == "note" and stage == following and (done.account, done.application) in world.moves_left
        if is_active and (stage == (done.stage or coding) or ours):
            return True
    return False


def _nothing_silent(world: World) -> Iterator[str]:
    """P5 and progress: every command is one row that ended, waits with a date or is parked with a reason."""
    rows: dict[Any, Any] = {}
    for name in ("assessments", "greenhouse-actions"):
        memory = world.memories[name]
        rows |= memory.table("intent")
        yield from _rows_end(world, memory.table("intent"))
        if memory.table("observation"):
            yield f"progress: questions wait in {name} although nothing fails"
    for name, memory in world.memories.items():
        unsent = sum(row["sent"] is None for row in memory.table("outbox").values())
        if unsent:
            yield f"progress: {unsent} messages of {name} were never sent"
    for queue in world.broker.queues.values():
        waiting = len(queue.ready) + len(queue.unacked)
        if waiting and not queue.name.endswith(".dead"):
            yield f"progress: {waiting} messages wait in {queue.name}"
        elif waiting:
            reasons = {str(item.headers.get("x-reason", "delivered too often")) for item in queue.ready}
            yield f"P5: {waiting} messages lie in {queue.name}, in no list: {sorted(reasons)}"
    requested = (e.InviteRequested, e.NoteRequested, e.MoveRequested)
    settled = set()
    asked = {}
    for row in world.memories["workflow"].table("event").values():
        event = row["recorded"].event
        if isinstance(event, requested):
            asked[event.command_id] = type(event).__name__, row["account"]
        elif isinstance(event, e.EffectSettled):
            settled.add(event.command_id)
    for ident, (kind, account) in asked.items():
        if under_way_then(world, rows.get(ident)):
            continue
        if ident not in rows or rows[ident]["account"] != account:
            yield f"P5: {kind} {ident} was decided and never reached a ledger"
        elif rows[ident]["state"] in (*FINAL, State.PARKED, State.IN_DOUBT) and ident not in settled:
            yield f"P5: {kind} {ident} is {rows[ident]['state'].value}, and the log does not say so"
    yield from _effects_are_rows(world, rows)
    yield from _done_is_done(world, rows)


def _effects_are_rows(world: World, rows: dict[Any, Any]) -> Iterator[str]:
    """What the vendors did is not told as never done; of a deleted application nobody can see it any more."""
    markers = {(row["account"], note_marker(row["id"]).removeprefix("[ref ")): row for row in rows.values()}
    for done in world.done:
        if done.kind == "note":
            row = markers.get((done.account, done.detail))
            if row is None and done.left_at > world.backed_up_at and world.put_back_at is not None:
                continue
            if row is None:
                yield f"P5: the note {done.detail} of {done.account} belongs to no command"
            elif row["state"] is not State.DONE and (done.account, done.application) not in world.deleted:
                yield f"P5: the note {done.detail} of {done.account} is there, and shown as {row['state'].value}"


def _done_is_done(world: World, rows: dict[Any, Any]) -> Iterator[str]:
    """What is told as done was done; a move may have been a person's, and another invite's result stand for an invite."""
    attached = {
        event.invite_id for row in world.logged() if isinstance(event := row["recorded"].event, e.AttachRequested)
    }
    invites = world.memories["assessments"].table("invite")
    attached |= {ident for ident, row in invites.items() if row["follows"] is not None}
    for ident, row in rows.items():
        if row["state"] is not State.DONE or row["action"] is Action.MOVE or row["attempt"] == 0 or ident in attached:
            continue
        if row["action"] is Action.INVITE and world.put_back_at is not None:
            continue  # Coderbyte may show the person's invite for another application, which the backup does not know
        if not world.happened(row):
            yield f"P5: {row['action'].value} {ident} of {row['account']} is told as done, and never was: {row['cause']}"


def _rows_end(world: World, rows: dict[Any, Any]) -> Iterator[str]:
    for ident, row in rows.items():
        state, what = row["state"], f"{row['action'].value} {ident} of {row['account']}"
        if state in FINAL:
            continue
        if state in (State.PARKED, State.IN_DOUBT):
            if not row["cause"] or not row["remedy"]:
                yield f"P5: {what} is parked without reason or remedy"
        elif state is State.WAITING and row["due_at"] > world.now() and row["cause"] and AWAY not in row["cause"]:
            continue
        else:
            yield f"progress: {what} is {state.value} although nothing fails: {row['cause']}"


def _apart(world: World) -> Iterator[str]:
    for done in world.done:
        if (done.account, done.application) not in world.changes:
            yield f"P7: {done.kind} on {done.application} reached {done.account}, whose application it is not"
    for (account, _), row in world.memories["workflow"].table("application").items():
        if row["state"].account != account:
            yield f"P7: a stream of {row['state'].account} is shown to {account}"


def _same_decisions(world: World) -> Iterator[str]:
    for account, application in world.memories["workflow"].table("application"):
        log = log_of(world, stream_id(account, application))
        for difference in redecide(account, application, log, world.versions):
            yield f"P9: version {difference.version} of application {application} of {account} is decided otherwise now"


def _settled_first(world: World) -> Iterator[str]:
    """Nobody is invited before the settle time since they entered the stage is over, whatever a replica's clock shows."""
    for row in world.memories["workflow"].table("application").values():
        state = row["state"]
        stream, coding = stream_id(state.account, state.application_id), world.greenhouses[state.account].stage(CODING)
        stays = [at for at, stage, _ in world.changes.get((state.account, state.application_id), ()) if stage == coding]
        if len(stays) != 1 or (state.account, state.application_id) in world.accepts:
            continue
        for event in log_of(world, stream):
            if (
                isinstance(event.event, e.InviteRequested)
                and event.event.workflow != BY_HAND
                and seconds(event.recorded_at) < stays[0] + world.settle_seconds - 0.01
            ):
                yield f"P4: {state.application_id} of {state.account} was invited before its settle time was over"


def _recorded_once(world: World) -> Iterator[str]:
    """A webhook that comes again, whatever its delivery's id is, is in no stream twice."""
    seen: dict[tuple[Any, bytes, bytes], Any] = {}
    for row in world.memories["workflow"].table("event").values():
        recorded = row["recorded"]
        head, _, data = (recorded.message or b"").partition(b'"data":')
        if b'"source":"trellis/ingest"' not in head or b'"last_activity_at":"' not in data:
            continue
        key = row["stream"], head.partition(b'"type":')[2][:30], data
        if seen.setdefault(key, recorded.message_id) != recorded.message_id:
            yield f"P2: one webhook is twice in the log of {row['account']}: {data.decode()}"


def _nothing_given_up(world: World) -> Iterator[str]:
    """An only invite is not given up while its person stands in the stage and nothing changed since it was asked for."""
    rows = list(world.memories["assessments"].table("intent").values())
    counts = Counter((row["account"], row["application_id"]) for row in rows)
    for row in rows:
        account, application = row["account"], row["application_id"]
        greenhouse = world.greenhouses[account]
        view = greenhouse.truth.get(application)
        if view is None or not view.is_active or view.stage_id != greenhouse.stage(CODING):
            continue
        if row["state"] is not State.SUPERSEDED or row["id"] in world.given_up or counts[account, application] > 1:
            continue
        if (account, application) in world.anonymized or (account, application) in world.tagged:
            continue
        changes = world.changes[account, application]
        stays = sum(stage == view.stage_id for _, stage, _ in changes)
        if stays == 1 and changes[-1][0] <= seconds(row["created_at"]):
            yield f"P5: the invite of {application} of {account} was given up, and nothing had changed: {row['cause']}"


def _nothing_kept(world: World) -> Iterator[str]:
    """P8: no address that somebody had who was deleted or anonymised since is kept anywhere, however late it came."""
    assessments, ingest = world.memories["assessments"], world.memories["ingest"]
    found = [
        ("invite", row["account"], row["address"].decode())
        for row in assessments.table("invite").values()
        if row["address"]
    ]
    found += [
        ("report", row["invite"].account, row["raw"]["email"])
        for row in assessments.table("result").values()
        if row["raw"]
    ]
    bodies = [row["kept"] for row in ingest.table("body").values()]
    found += [("body", kept.account, json.loads(kept.body)["email"]) for kept in bodies if kept.fault is None]
    # The journal of erasures tells neither of merges nor of the hashes of those who were invited since the backup.
    lost = world.erased_before if not world.ended_at else world.erased_before & world.merged_addresses
    excused = {True: world.invited_since | lost, False: lost}
    for where, account, address in found:
        if (account, address) in world.erased and (account, address) not in excused[where == "body"]:
            yield f"P8: the address {address} of {account} is kept in {where}, and its person was erased"
    hashes = {
        (account, world.keyring.address_hash(account, address))
        for account, address in world.erased - world.invited_since
    }
    for row in assessments.table("unmatched").values():
        if (row["account"], row["signal"].address_hash) in hashes:
            yield f"P8: a webhook of an erased person of {row['account']} is kept"


def _believes_the_truth(world: World) -> Iterator[str]:
    """Every webhook came, in whatever order, or was made up for: so the log must end where Greenhouse stands."""
    for account, greenhouse in world.greenhouses.items():
        for application in (ident for owner, ident in sorted(world.changes) if owner == account):
            view = greenhouse.truth.get(application)
            log = log_of(world, stream_id(account, application))
            state = fold(initial_state(account, application), (item.event for item in log))
            was_before = world.changes[account, application][-1][0] <= (world.put_back_at or 0.0)
            if (was_before and view is None) or forgotten_then(world, account, application):
                continue  # no list of changes shows deletions
            if view is None or state.deleted:
                if (view is None) is not state.deleted:
                    yield f"P2: application {application} of {account} is deleted in one of log and Greenhouse only"
            elif state.status is not view.status:
                yield f"P2: the log says {state.status.value} of {application} of {account}, Greenhouse {view.status.value}"
            elif view.status is ApplicationStatus.ACTIVE and (
                state.visit is None or state.visit.stage_id != view.stage_id
            ):
                known = None if state.visit is None else state.visit.stage_name
                yield f"P2: the log has {application} of {account} in {known}, Greenhouse in {view.stage_name}"
