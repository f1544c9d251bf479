"""One Coderbyte organization: assessments, invites, mails and attempts.

Source: coderbyte.md sections 2, 3 and 9.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import Clock, iso_milliseconds
from trellis.sandbox.switches import Switches

_SIGNS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass
class Assessment:
    """A test candidates can be invited to."""

    test_id: str
    display_name: str
    public_url: str | None
    """What an invite takes; `None` makes it one that cannot be invited to."""
    qualifying_score: int
    closed: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True)
class Invite:
    """One accepted invite: a private link, and mostly a mail."""

    email: str
    assessment_id: str
    url: str
    at: datetime
    mailed: bool
    internal_id: str | None = None


@dataclass
class AssessmentAttempt:
    """A candidate's go at an assessment, from joining on."""

    username: str
    email: str
    assessment_id: str
    joined_at: datetime
    internal_id: str | None = None
    status: str = "In progress"
    report_ready: bool = False
    not_ready_reads: int = 0
    """Reads that still say `report_ready: false`."""
    empty_reads: int = 0
    """Reads that still show no report."""
    code_score: float | None = None
    mc_score: float | None = None
    final_score: float | None = None
    qualified: bool | None = None
    cheating_flag: str | None = "Not detected"
    cheating_details: Json = field(default_factory=dict)
    time_taken: int | None = None
    scorecard: dict[str, int] = field(default_factory=dict)
    vote_decision: str | None = None
    admin_notes: Json = field(default_factory=dict)
    extra: Json = field(default_factory=dict)
    """Fields laid over the report as they are."""

    @property
    def report_url(self) -> str:
        """The link for people."""
        return f"https://coderbyte.com/report/{self.username}:{self.assessment_id}"

    @property
    def is_finished(self) -> bool:
        """Whether it was submitted or ran out of time."""
        return self.status != "In progress"


def address_key(email: str) -> str:
    """What two spellings of one address share."""
    return email.strip().lower()


class Coderbyte:
    """All records of one organization."""

    def __init__(
        self, organization_id: str, api_key: str, *, rng: random.Random, clock: Clock, switches: Switches
    ) -> None:
        self.organization_id = organization_id
        self.api_key = api_key
        self.accepted_keys = [api_key]
        """Keys that open the API; the first signs webhooks."""
        self.clock = clock
        self.switches = switches
        self.assessments: dict[str, Assessment] = {}
        self.invites: list[Invite] = []
        self.mailbox: list[Json] = []
        self.mail_counts: Counter[tuple[str, str]] = Counter()
        self.attempts: list[AssessmentAttempt] = []
        self._invites_by_address: defaultdict[str, list[Invite]] = defaultdict(list)
        self._attempts_by_address: defaultdict[str, list[AssessmentAttempt]] = defaultdict(list)
        self.webhook_urls: dict[str, str] = {}
        """URL per operation."""
        self._rng = rng

    def key(self, length: int) -> str:
        """Random signs for a link, from the sandbox's seed."""
        return "".join(self._rng.choice(_SIGNS) for _ in range(length))

    def add_assessment(
        self, name: str, *, test_id: str | None, qualifying_score: int, closed: bool, has_public_url: bool
    ) -> Assessment:
        """A new assessment; ids and links are made here."""
        slug = "-".join(name.lower().split())
        test_id = test_id or f"{slug}-{self.key(10).lower()}"
        public = f"https://coderbyte.com/sl-candidate?promo={self.organization_id}-{self.key(5)}:{test_id}"
        assessment = Assessment(
            test_id, name, public if has_public_url else None, qualifying_score, closed, self.clock.now()
        )
        self.assessments[test_id] = assessment
        return assessment

    def by_url(self, url: str) -> Assessment | None:
        """The assessment with that public link."""
        return next((a for a in self.assessments.values() if a.public_url == url), None)

    def invite(self, email: str, assessment: Assessment, *, mail: bool, internal_id: str | None) -> Invite:
        """Accept one invite, and put the mail into the mailbox if *mail*."""
        earlier = self.invites_of(email, assessment.test_id)
        same_link = earlier and self.switches.text("coderbyte.invite.duplicate_behaviour") == "same_link"
        url = earlier[-1].url if same_link else f"https://coderbyte.com/sl-candidate?inviteKey={self.key(10)}"
        invite = Invite(email, assessment.test_id, url, self.clock.now(), mail and not same_link, internal_id)
        self.invites.append(invite)
        self._invites_by_address[address_key(email)].append(invite)
        if invite.mailed:
            self.mail_counts[(address_key(email), assessment.test_id)] += 1
            self.mailbox.append(
                {
                    "at": iso_milliseconds(invite.at),
                    "to": email,
                    "from": f"{self.organization_id}@coderbyte.example",
                    "subject": f"You are invited to: {assessment.display_name}",
                    "assessment_id": assessment.test_id,
                    "url": url,
                }
            )
        return invite

    def invites_of(self, email: str, assessment_id: str | None = None) -> list[Invite]:
        """The invites of an address, oldest first."""
        found = self._invites_by_address.get(address_key(email), [])
        return [invite for invite in found if assessment_id in (None, invite.assessment_id)]

    def attempts_of(self, email: str, assessment_id: str | None = None) -> list[AssessmentAttempt]:
        """The attempts of an address, oldest first."""
        found = self._attempts_by_address.get(address_key(email), [])
        return [attempt for attempt in found if assessment_id in (None, attempt.assessment_id)]

    def join(self, email: str, assessment_id: str, *, internal_id: str | None) -> AssessmentAttempt:
        """Begin an attempt."""
        username = f"user{self.key(10).lower()}"
        attempt = AssessmentAttempt(username, email, assessment_id, self.clock.now(), internal_id)
        self.attempts.append(attempt)
        self._attempts_by_address[address_key(email)].append(attempt)
        return attempt
