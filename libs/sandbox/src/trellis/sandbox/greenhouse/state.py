"""One Greenhouse account: its records, and the changes that keep them consistent.

Every change goes through here, whoever makes it; what it fires and how it is refused is decided by the callers.
Source: greenhouse.md sections 6 and 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import Clock, iso_milliseconds
from trellis.sandbox.greenhouse.model import (
    Activity,
    Application,
    Candidate,
    Credential,
    HarvestKey,
    Hook,
    Interview,
    Job,
    Note,
    Opening,
    Scorecard,
    Snapshot,
    Stage,
    StageRow,
    Token,
    User,
)
from trellis.sandbox.ids import Ids
from trellis.sandbox.switches import Switches

DEFAULT_STAGES = ("Application Review", "Recruiter Call", "Coding Assessment", "Onsite", "Offer")


class Greenhouse:
    """All records of one account."""

    def __init__(self, name: str, *, ids: Ids, clock: Clock, switches: Switches) -> None:
        self.name = name
        self.ids = ids
        self.clock = clock
        self.switches = switches
        self.organization_id = ids.next("organization")
        self.users: dict[int, User] = {}
        self.credentials: dict[str, Credential] = {}
        self.tokens: dict[str, Token] = {}
        self.harvest_key = HarvestKey("", set())
        self.jobs: dict[int, Job] = {}
        self.stages: dict[int, Stage] = {}
        self.openings: dict[int, Opening] = {}
        self.candidates: dict[int, Candidate] = {}
        self.applications: dict[int, Application] = {}
        self.rows: dict[int, list[StageRow]] = {}
        """Stage rows of each application, oldest first."""
        self.snapshots: dict[int, Snapshot] = {}
        self.hired_from: dict[int, Stage | None] = {}
        """The stage each hired application was in."""
        self.notes: dict[int, Note] = {}
        self.notes_of: dict[int, list[Note]] = {}
        """Notes of each application, oldest first."""
        self.activities: dict[int, list[Activity]] = {}
        self.scorecards: dict[int, Scorecard] = {}
        self.interviews: dict[int, Interview] = {}
        self.hooks: dict[int, Hook] = {}
        self.moves: list[Json] = []
        """Every change of stage, for the counts."""
        self.written_notes: list[Json] = []
        """Every note written through the API; anonymising does not shorten it."""
        self.application_fields = {"target_base", "assessment_score"}
        """Immutable keys of the custom fields that applications have."""
        self.written_fields: list[Json] = []
        """Every custom field set or emptied through the API."""
        self.stage_emails: list[Json] = []
        """E-mails that stage rules would have sent."""

    # Set-up -----------------------------------------------------------------------------------------------------

    def add_user(
        self, name: str, email: str | None, *, site_admin: bool = False, service_account: bool = False
    ) -> User:
        """A new user."""
        now = self.clock.now()
        user = User(self.ids.next("user"), name, email, site_admin, now, now, service_account=service_account)
        self.users[user.id] = user
        return user

    def add_job(self, name: str, stages: Iterable[tuple[str, bool]], *, confidential: bool = False) -> Job:
        """A new open job with *stages* (name, whether a stage rule mails on entry), two openings and a post."""
        now = self.clock.now()
        job = Job(
            self.ids.next("job"),
            name,
            f"REQ-{len(self.jobs) + 1:04d}",
            now,
            now,
            now,
            confidential=confidential,
            department_id=self.ids.next("department"),
            office_ids=[self.ids.next("office")],
            post_id=self.ids.next("job_post"),
        )
        self.jobs[job.id] = job
        for stage_name, sends_email in stages:
            self.add_stage(job, stage_name, sends_email=sends_email)
        for number in (1, 2):
            opening = Opening(self.ids.next("opening"), job.id, f"{job.requisition_id}-{number}", now, now)
            self.openings[opening.id] = opening
        return job

    def add_stage(self, job: Job, name: str, *, sends_email: bool = False) -> Stage:
        """A new stage at the end of *job*'s plan."""
        now = self.clock.now()
        order = max((s.sort_order for s in self.stages.values() if s.job_id == job.id), default=-1) + 1
        stage = Stage(self.ids.next("job_stage"), job.id, name, order, now, now, sends_email=sends_email)
        stage.interview_id = self.ids.next("job_interview")
        stage.kit_id = self.ids.next("interview_kit")
        self.stages[stage.id] = stage
        return stage

    # Look-ups ---------------------------------------------------------------------------------------------------

    def plan(self, job_id: int | None) -> list[Stage]:
        """The active stages of a job, in order."""
        stages = [stage for stage in self.stages.values() if stage.job_id == job_id and stage.active]
        return sorted(stages, key=lambda stage: (stage.sort_order, stage.id))

    def next_stage(self, stage: Stage) -> Stage | None:
        """The active stage after *stage*, or `None` at the end."""
        later = [s for s in self.plan(stage.job_id) if (s.sort_order, s.id) > (stage.sort_order, stage.id)]
        return later[0] if later else None

    def applications_of(self, candidate_id: int) -> list[Application]:
        """The applications of a person, oldest first."""
        return [a for a in self.applications.values() if a.candidate_id == candidate_id]

    def by_email(self, email: str) -> list[Application]:
        """The applications of everyone with that address."""
        people = {c.id for c in self.candidates.values() if c.has_email(email)}
        return [a for a in self.applications.values() if a.candidate_id in people]

    def is_hidden(self, application: Application) -> bool:
        """Whether no list shows it, because its job is confidential."""
        job = self.jobs.get(application.job_id or 0)
        return job is not None and job.confidential

    def shown(self, application: Application) -> tuple[Application, Sequence[StageRow]]:
        """What reads show of *application* and its rows: the truth, or for a while what was before a move."""
        snapshot = self.snapshots.get(application.id)
        if snapshot is None or self.clock.now() >= snapshot.until:
            self.snapshots.pop(application.id, None)
            return application, self.rows.get(application.id, [])
        return snapshot.application, snapshot.rows

    # Changes ----------------------------------------------------------------------------------------------------

    def touch(self, application: Application, at: datetime, *, activity: bool = True) -> None:
        """Set the times a change of *application* sets; *activity* also sets `last_activity_at`."""
        application.updated_at = at
        candidate = self.candidates.get(application.candidate_id)
        if activity:
            application.last_activity_at = at
        if candidate is not None and activity:
            candidate.last_activity_at = candidate.updated_at = at

    def remember(self, application: Application, text: str) -> None:
        """Add a line to the activity feed."""
        line = Activity(self.ids.next("activity"), application.id, self.clock.now(), text)
        self.activities.setdefault(application.id, []).append(line)

    def leave_stage(self, application: Application, at: datetime) -> None:
        """Close the current stage row."""
        for row in self.rows.get(application.id, []):
            if row.current:
                row.current, row.exited_at, row.updated_at = False, at, at
        application.row_id = None

    def enter_stage(self, application: Application, stage: Stage, *, by: str) -> None:
        """Put *application* into *stage*: rows, times, activity and the count of moves.

        Args:
            application: Any application of the stage's job.
            stage: Where it goes.
            by: `api`, `person` or `system` (a first stage).
        """
        at = self.clock.now()
        left = application.stage
        rows = self.rows.setdefault(application.id, [])
        self.leave_stage(application, at)
        style = self.switches.text("app_stages.reentry")
        known = next((row for row in rows if row.job_interview_stage_id == stage.id), None)
        if known is not None and style == "reuse_row":
            known.entered_at, known.exited_at, known.current, known.updated_at = at, None, True, at
            row = known
        else:
            entered_at = None if known is not None and style == "null_entered_at" else at
            row = StageRow(self.ids.next("stage_row"), application.id, stage.id, entered_at, at, at)
            rows.append(row)
        application.stage, application.row_id = stage, row.id
        self.touch(application, at)
        self.remember(application, f"moved into {stage.name}")
        if left is not None and by != "system":
            self.moves.append(
                {
                    "application_id": application.id,
                    "from_stage_id": left.id,
                    "to_stage_id": stage.id,
                    "at": iso_milliseconds(at),
                    "by": by,
                }
            )
        if stage.sends_email and by != "system":
            self.stage_emails.append({"application_id": application.id, "stage_id": stage.id})

    def hold_back(self, application: Application) -> None:
        """Keep showing *application* as it is now for as long as `move.delay_visible_s` says; call before a move."""
        seconds = self.switches.number("move.delay_visible_s")
        if seconds > 0:
            rows = tuple(replace(row) for row in self.rows.get(application.id, []))
            until = self.clock.now() + timedelta(seconds=seconds)
            self.snapshots[application.id] = Snapshot(until, replace(application), rows)

    def transfer(self, application: Application, stage: Stage, *, by: str) -> None:
        """Put *application* on another job, into *stage* of it; its id stays."""
        job = self.jobs[stage.job_id]
        application.job_id = job.id
        self.enter_stage(application, stage, by=by)

    def add_note(self, note: Note) -> None:
        """Keep a note."""
        self.notes[note.id] = note
        if note.application_id is not None:
            self.notes_of.setdefault(note.application_id, []).append(note)

    def person_note(self, application: Application, text: str, user_id: int) -> Note:
        """A note that a person wrote."""
        note = Note(
            self.ids.next("note"),
            application.candidate_id,
            application.id,
            user_id,
            "NOTE",
            "publicly_visible",
            text,
            self.clock.now(),
        )
        self.add_note(note)
        self.touch(application, note.created_at)
        return note

    def forget_application(self, application: Application) -> None:
        """Remove an application and what hangs on it."""
        self.applications.pop(application.id, None)
        self.snapshots.pop(application.id, None)
        for collection in (self.rows, self.activities, self.notes_of):
            collection.pop(application.id, None)
        self.notes = {k: n for k, n in self.notes.items() if n.application_id != application.id}
        self.scorecards = {k: s for k, s in self.scorecards.items() if s.application_id != application.id}
        self.interviews = {k: i for k, i in self.interviews.items() if i.application_id != application.id}
