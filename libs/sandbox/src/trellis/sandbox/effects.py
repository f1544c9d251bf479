"""What really happened in an account, as tests count it. Nothing here depends on what Trellis believes."""

from __future__ import annotations

from trellis.sandbox.bodies import ControlError, Json
from trellis.sandbox.clock import iso_milliseconds
from trellis.sandbox.coderbyte.state import Invite, address_key
from trellis.sandbox.greenhouse.rows import application_row, candidate_row, note_row, stage_row_rows
from trellis.sandbox.people import tell_application
from trellis.sandbox.world import Account


def tell_effects(account: Account) -> Json:
    """Every invite, note and move so far, and the calls that were made."""
    coderbyte, greenhouse = account.coderbyte, account.greenhouse
    applications = _applications_by_address(account)
    return {
        "invites": [_tell_invite(invite, applications) for invite in coderbyte.invites],
        "invite_counts": {
            f"{email} {assessment_id}": count for (email, assessment_id), count in coderbyte.mail_counts.items()
        },
        "notes": greenhouse.written_notes,
        "moves": greenhouse.moves,
        "fields": greenhouse.written_fields,
        "stage_emails": greenhouse.stage_emails,
        "calls": dict(account.counts.by_route),
        "calls_by_status": dict(account.counts.by_status),
        "max_calls_in_window": account.counts.max_in_window,
    }


def tell_state(account: Account, application_id: int) -> Json:
    """The whole truth about an application, also where reads still show the past.

    Raises:
        ControlError: 404, it does not exist (any more).
    """
    greenhouse = account.greenhouse
    application = greenhouse.applications.get(application_id)
    if application is None:
        raise ControlError(f"no application {application_id}", 404)
    return {
        **tell_application(account, application),
        "application": application_row(greenhouse, application),
        "candidate": candidate_row(greenhouse.candidates[application.candidate_id]),
        "application_stages": stage_row_rows(greenhouse, greenhouse.rows.get(application_id, [])),
        "notes": [note_row(note) for note in greenhouse.notes_of.get(application_id, [])],
        "activities": [
            {"id": a.id, "at": iso_milliseconds(a.at), "text": a.text}
            for a in greenhouse.activities.get(application_id, [])
        ],
    }


def tell_applications(account: Account) -> list[Json]:
    """Every application in a few words."""
    return [tell_application(account, a) for a in account.greenhouse.applications.values()]


def _applications_by_address(account: Account) -> dict[str, list[int]]:
    """Ids of the applications of everyone who has an address, as the addresses are now."""
    greenhouse = account.greenhouse
    found: dict[str, list[int]] = {}
    for application in greenhouse.applications.values():
        candidate = greenhouse.candidates[application.candidate_id]
        for key in {address_key(address["value"]) for address in candidate.email_addresses}:
            found.setdefault(key, []).append(application.id)
    return found


def _tell_invite(invite: Invite, applications: dict[str, list[int]]) -> Json:
    return {
        "email": invite.email,
        "assessment_id": invite.assessment_id,
        "at": iso_milliseconds(invite.at),
        "url": invite.url,
        "mailed": invite.mailed,
        "internal_id": invite.internal_id,
        "application_ids": applications.get(address_key(invite.email), []),
    }
