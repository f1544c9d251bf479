"""The private links of invites: each is good for one candidate and opened only for a person who hands it over."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, CandidateId, Visit
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import Sealer, candidate_subject
from trellis.common.store.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteLink:
    """By which one candidate, and whoever else holds it, takes one assessment."""

    command_id: UUID
    visit: Visit
    assessment_id: AssessmentId
    link: str = field(repr=False)


def link_place(command: UUID) -> str:
    """Return where a sealed private link stands."""
    return f"invite.link:{command}"


async def open_links(
    sealer: Sealer, connection: Connection, account: AccountId, application: ApplicationId
) -> list[InviteLink]:
    """Return the private links of an application's invites, oldest first; none of an erased person."""
    rows = await connection.fetch(
        "select command_id, candidate_id, visit, assessment_id, link from invite "
        "where account_id = $1 and application_id = $2 and link is not null and erased_at is null "
        "order by prepared_at, command_id",
        account,
        application,
    )
    found = []
    for row in rows:
        subject, place = candidate_subject(CandidateId(row["candidate_id"])), link_place(row["command_id"])
        try:
            link = await sealer.open(connection, account, subject, row["link"], place)
        except UnreadableError:
            continue
        found.append(
            InviteLink(
                command_id=row["command_id"],
                visit=Visit(row["visit"]),
                assessment_id=AssessmentId(row["assessment_id"]),
                link=link.decode(),
            )
        )
    return found
