"""An account's Greenhouse connection: where, as whom, and with which settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trellis.common.contracts.identifiers import AccountId, UserId
from trellis.common.errors import InputError
from trellis.greenhouse_actions.domain.effects import Spaces
from trellis.greenhouse_actions.domain.readings import ChangeField
from trellis.greenhouse_actions.domain.reconciling import LONGEST, Pace
from trellis.greenhouse_actions.domain.requests import FromSpace, NoteStyle

DEFAULT_BASE_URLS: Final = {
    "v3": "https://harvest.greenhouse.io/v3",
    "v1": "https://harvest.greenhouse.io/v1",
}
LONGEST_V1: Final = timedelta(days=366)
DEFAULT_TOKEN_URL: Final = "https://auth.greenhouse.io/token"  # noqa: S105 - an address, not a secret
VENDOR: Final = "greenhouse"

Seconds = Annotated[float, Field(ge=0, le=7 * 86400)]


class ConnectionSettings(BaseModel):
    """What encodes facts about Greenhouse that nobody documents, and the account's own wishes.

    Names and defaults are those of the greenhouse fact sheet, section 10; `invite.` and `note.link_hosts`
    are ours. Durations are seconds, fractions allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=False)

    v3_base_url: str | None = Field(default=None, alias="v3.base_url")
    """Wins over the connection's own address; None is that one."""
    v3_token_url: str | None = Field(default=None, alias="v3.token_url")
    """Likewise for the token route."""
    v1_base_url: str | None = Field(default=None, alias="v1.base_url")
    """Wins over the address of a v1 connection; None is that one."""
    v1_unreachable: Literal["outage", "ended"] = Field(default="outage", alias="v1.unreachable")
    """What it means that Harvest v1 gives no answer: it is tried again, or the connection pauses and says what to do."""
    v3_sub: int | Literal["none"] | None = Field(default=None, alias="v3.sub")
    """Acting user of tokens; None is the service user, `none` the credential's own account."""
    v3_single_active_token: bool = Field(default=True, alias="v3.single_active_token")
    """Assume that a new token kills the older one: wait for it instead of using the old one's last minutes."""
    v3_range_syntax: Literal["auto", "pipe", "bracket"] = Field(default="auto", alias="v3.range_syntax")
    """How a time range is spelt; `auto` tries the pipe, then the bracket."""
    v3_from_stage_space: Literal["auto", "job_interview_stage", "application_stage"] = Field(
        default="auto", alias="v3.from_stage_space"
    )
    """Which id a move's `from_stage_id` is; `auto` starts with the job's stage and learns."""
    v3_transfer_with_stage: Literal["two_steps", "one_call"] = Field(
        default="two_steps", alias="v3.transfer_with_stage"
    )
    """For transfers, which this version does not make."""
    v3_reads_as: Literal["service_user", "credential_account"] = Field(default="service_user", alias="v3.reads_as")
    """As whom lists are read."""
    v3_introspect: Literal["try", "off"] = Field(default="try", alias="v3.introspect")
    """For the check of a connection."""
    note_visibility: Literal["public", "private", "admin_only"] = Field(default="public", alias="note.visibility")
    """Who sees our notes."""
    note_max_chars: int = Field(default=10_000, ge=100, le=1_000_000, alias="note.max_chars")
    """Longest note, marker included; Greenhouse publishes no limit."""
    note_escape_markup: bool = Field(default=True, alias="note.escape_markup")
    """Write `<`, `>` and `&` of a note's text as entities."""
    note_link_hosts: tuple[str, ...] = Field(default=("coderbyte.com",), alias="note.link_hosts")
    """Hosts, subdomains included, to which a report's link may lead; `name:port` also allows plain http."""
    note_on_withdraw: bool = Field(default=False, alias="note.on_withdraw")
    """Whether a withdrawal is noted; used by the workflow."""
    verify_second_read_s: Seconds = Field(default=30.0, alias="verify.second_read_s")
    """How long after a reading that does not show a write the second one is made."""
    invite_allow_private: bool = Field(default=False, alias="invite.allow_private")
    """Invite private candidates and those whom Greenhouse says not to e-mail."""
    keep_off_tag: str | None = Field(default=None, min_length=1, max_length=200, alias="keep_off.tag")
    """The tag of a candidate by which a recruiter keeps Trellis off; None looks at no tags."""
    hook_stage_match: str = Field(default="id_then_name", alias="hook.stage_match")
    """Used by the edge, like all of `hook.`; kept here because the account states it here."""
    hook_new_application_is_entry: bool = Field(default=True, alias="hook.new_application_is_entry")
    """See `hook.stage_match`."""
    hook_read_timeout_s: Seconds = Field(default=10.0, alias="hook.read_timeout_s")
    """See `hook.stage_match`."""
    credential_retry_s: float = Field(default=60.0, ge=0.05, le=3600, alias="credential.retry_s")
    """How soon a rejected credential is tried again."""
    standing_show: Literal["auto", "field", "note", "off"] = Field(default="auto", alias="standing.show")
    """Where recruiters see how an application stands: in a custom field (`auto`: where the credential and the field
    allow it, else nowhere), or in a note for each problem and its end."""
    standing_field: str = Field(
        default="trellis_standing", min_length=1, max_length=200, pattern=r"^[a-z0-9_]+$", alias="standing.field"
    )
    """Immutable key of the custom field of applications, a short text."""
    standing_field_shape: Literal["list", "keyed"] = Field(default="list", alias="standing.field_shape")
    """How an update takes custom fields: a list of name and value, or an object by name."""
    standing_delay: Seconds = Field(default=10.0, alias="standing.delay")
    """How long what is shown may be behind, so that short changes are one write."""
    reconcile_interval: Seconds = Field(default=600.0, alias="reconcile.interval")
    """How often Greenhouse is compared with the log."""
    reconcile_overlap: Seconds = Field(default=600.0, alias="reconcile.overlap")
    """How far two comparisons overlap."""
    reconcile_field: Literal["both", "updated_at", "last_activity_at"] = Field(default="both", alias="reconcile.field")
    """By which time of an application a change is looked for; `both` reads two lists."""
    reconcile_delay: Seconds = Field(default=60.0, alias="reconcile.delay")
    """How long a webhook may be under way before its change counts as missed."""
    reconcile_act_within: Seconds = Field(default=86400.0, alias="reconcile.act_within")
    """How old an entry that no webhook told may be to be acted upon without a person's yes."""
    reconcile_depth: float = Field(default=86400.0, ge=0, le=366 * 86400, alias="reconcile.depth")
    """How far back the first comparison of a connection looks."""
    rate_share: float = Field(default=0.6, gt=0, le=1, alias="rate.share")
    """Part of Greenhouse's limit that is ours; the customer's other tools use the rest."""
    rate_start_limit: int = Field(default=20, ge=1, le=10_000, alias="rate.start_limit")
    """Calls in a window (30 s, in v1 10 s) until Greenhouse's headers were seen."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names by which an account states them."""
        return sorted(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def parse(cls, given: dict[str, Any]) -> ConnectionSettings:
        """Return the settings in *given*, the others at their defaults.

        Raises:
            InputError: A name is not known or a value does not fit; the field is named, never its value.
        """
        for name in given:
            if name not in cls.names():
                raise InputError(
                    f"settings.{name}", "one of " + ", ".join(cls.names()), "mend the name or leave it out"
                )
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
            raise InputError(f"settings.{fault['loc'][0]}", fault["msg"]) from None

    def stated(self) -> dict[str, Any]:
        """Return those that differ from their defaults, by the names of the fact sheet."""
        stated: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return stated


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection with its open credential; it lives in memory only.

    Attributes:
        api_version: `v3`, with a token route, client id and secret; or `v1`, with an API key.
        service_user_id: Whom our writes are made as; None is the credential's own account.
        from_space: Which id a move was seen to take on this connection; None until one succeeded.
        revision: Changes whenever anything but *from_space* does.
    """

    account: AccountId
    api_version: str
    base_url: str
    token_url: str = ""
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    service_user_id: UserId | None
    settings: ConnectionSettings
    from_space: FromSpace | None = None
    revision: int = 1

    @property
    def is_v1(self) -> bool:
        """Whether it uses Harvest v1."""
        return self.api_version == "v1"

    @property
    def acting_user(self) -> UserId | None:
        """The user that our writes are made as; None is the credential's own account."""
        if self.is_v1:
            return self.service_user_id
        sub = self.settings.v3_sub
        if sub is None:
            return self.service_user_id
        return None if sub == "none" else UserId(sub)

    @property
    def reading_user(self) -> UserId | None:
        """The user that lists are read as."""
        return self.acting_user if self.settings.v3_reads_as == "service_user" else None

    @property
    def harvest_url(self) -> str:
        """Where requests go."""
        stated = self.settings.v1_base_url if self.is_v1 else self.settings.v3_base_url
        return (stated or self.base_url).rstrip("/")

    @property
    def tokens_url(self) -> str:
        """Where tokens come from."""
        return self.settings.v3_token_url or self.token_url

    @property
    def spaces(self) -> Spaces:
        """Which id a move sends first, and whether it may try the other; Harvest v1 knows only one kind."""
        if self.is_v1:
            return Spaces(first=FromSpace.JOB_INTERVIEW_STAGE, other_allowed=False)
        said = self.settings.v3_from_stage_space
        if said == "auto":
            return Spaces(first=self.from_space or FromSpace.JOB_INTERVIEW_STAGE, other_allowed=True)
        return Spaces(first=FromSpace(said), other_allowed=False)

    @property
    def note_style(self) -> NoteStyle:
        """How notes are written."""
        return NoteStyle(
            visibility=self.settings.note_visibility,
            most_characters=self.settings.note_max_chars,
            escape_markup=self.settings.note_escape_markup,
        )

    @property
    def second_read(self) -> timedelta:
        """`verify.second_read_s`."""
        return timedelta(seconds=self.settings.verify_second_read_s)

    @property
    def pace(self) -> Pace:
        """The `reconcile.` settings.

        Harvest v1 lists by `last_activity_at` only, and by a filter without an end: a short window costs as much.
        """
        said = self.settings
        fields = tuple(ChangeField) if said.reconcile_field == "both" else (ChangeField(said.reconcile_field),)
        if self.is_v1:
            fields = (ChangeField.LAST_ACTIVITY_AT,)
        return Pace(
            fields=fields,
            interval=timedelta(seconds=said.reconcile_interval),
            overlap=timedelta(seconds=said.reconcile_overlap),
            delay=timedelta(seconds=said.reconcile_delay),
            act_within=timedelta(seconds=said.reconcile_act_within),
            depth=timedelta(seconds=said.reconcile_depth),
            longest=LONGEST_V1 if self.is_v1 else LONGEST,
        )

    @property
    def credential_retry(self) -> timedelta:
        """`credential.retry_s`."""
        return timedelta(seconds=self.settings.credential_retry_s)


def checked_url(field_name: str, url: str, version: str | None = None) -> str:
    """Return *url* without a slash at its end.

    Raises:
        InputError: It is no http(s) address, sends a secret to Greenhouse in the clear, or ends in another *version*.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InputError(field_name, "an https address") from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise InputError(field_name, "an https address without user, query or fragment")
    if parts.scheme == "http" and (host == "greenhouse.io" or host.endswith(".greenhouse.io")):
        raise InputError(field_name, "an https address", "Greenhouse is never called in the clear")
    last = parts.path.rstrip("/").rpartition("/")[2]
    if version is not None and last != version and re.fullmatch(r"v[0-9]+", last):
        raise InputError(field_name, f"the address of Harvest {version}", "mend it or the api_version")
    return url.rstrip("/")
