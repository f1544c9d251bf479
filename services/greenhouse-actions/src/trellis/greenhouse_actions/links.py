"""The link of a report, asked of `assessments` when a note that wants it is written."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote, urlencode

from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, Visit
from trellis.common.errors import InputError, PermanentError, TransientError
from trellis.common.runtime.internal import InternalClient


class ReportLinks(Protocol):
    """Tells links of reports; they are personal, so they are asked for late and kept nowhere."""

    async def link(
        self, account: AccountId, application: ApplicationId, visit: Visit, assessment: AssessmentId
    ) -> str | None:
        """Return the link; None when there is none, or the account does not want it in notes.

        Raises:
            TransientError: `assessments` is away.
        """


class AssessmentsLinks:
    """Asks `assessments`."""

    def __init__(self, client: InternalClient) -> None:
        self._client = client

    async def link(
        self, account: AccountId, application: ApplicationId, visit: Visit, assessment: AssessmentId
    ) -> str | None:
        """See `ReportLinks.link`."""
        query = urlencode({"application_id": int(application), "visit": visit, "assessment_id": assessment})
        path = f"/internal/v1/accounts/{quote(account, safe='')}/reports/link?{query}"
        try:
            answer = await self._client.call("GET", path, seconds=3.0)
        except InputError as error:
            raise TransientError(f"assessments did not understand the question for a report's link ({error})") from None
        except PermanentError:  # it knows no such report
            return None
        found = answer.get("link") if isinstance(answer, dict) else None
        return found if isinstance(found, str) else None
