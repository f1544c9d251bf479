"""The parsers, what each may do with an input, and the inputs to begin with: the tests' sample bodies."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from tools.dev.paths import ROOT
from tools.fuzzing.loop import Broken, Refused, Target
from trellis.assessments.domain.invites import Answered, classify, parse_retry_after, success_data, vendor_words
from trellis.assessments.domain.options import Options, PickAttempt
from trellis.assessments.domain.results import parse_report, pick_attempt, to_result
from trellis.cli.reading import FileError, read
from trellis.common.contracts.envelope import Envelope, decode, encode
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError, TransientError
from trellis.greenhouse_actions.adapters import v1_rows, v3_rows
from trellis.greenhouse_actions.adapters.rows import parsed, words_of
from trellis.ingest.signature import SignatureRejected, verify_signature, verify_token
from trellis.ingest.translation import Delivery, Rules, signal_kind, to_facts, to_signal
from trellis.ingest.webhooks import UnreadableBody, parse_coderbyte, parse_greenhouse
from trellis.workflow.domain.compiling import compile_workflow

NOW: Final = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_DATA: Final = ROOT / "tests" / "data"
_DELIVERY: Final = Delivery(id=UUID(int=1), account=AccountId("northwind"), received_at=NOW, digest="0" * 64)
_RULES: Final = Rules()
Read = TypeVar("Read")
_JSON: Final = tuple(b'{ } [ ] , : "" null true 1e999 NaN -0 "\\ud800" \\u0000'.split())


def targets() -> list[Target]:
    """Return every parser with its inputs."""
    greenhouse, coderbyte = list(_samples("greenhouse")), list(_samples("coderbyte"))
    facts = [fact for body in greenhouse for fact in _facts(body)]
    return [
        Target(name="greenhouse-webhook", run=_greenhouse, seeds=greenhouse, words=_words(greenhouse)),
        Target(name="coderbyte-webhook", run=_coderbyte, seeds=coderbyte, words=_words(coderbyte)),
        Target(name="signature", run=_signature, seeds=_SIGNED, words=[b"sha256 ", b"Bearer ", b".", b"=", b"\n"]),
        Target(name="message", run=_message, seeds=[encode(fact) for fact in facts], words=_words(map(encode, facts))),
        Target(name="account-file", run=_account_file, seeds=_ACCOUNT_FILES, words=_YAML),
        Target(name="report", run=_report, seeds=coderbyte, words=_words(coderbyte)),
        Target(name="answer", run=_answer, seeds=[*coderbyte, b"7", b"Mon, 01 Jan 2024 00:00:00 GMT"], words=_JSON),
        Target(name="harvest-rows", run=_rows, seeds=_ROWS, words=_words(_ROWS)),
    ]


# -- what each promises


def _greenhouse(body: bytes) -> None:
    for fact in _refusing(UnreadableBody, lambda: to_facts(parse_greenhouse(body), _DELIVERY, _RULES)):
        _comes_back(fact)


def _coderbyte(body: bytes) -> None:
    parsed = _refusing(UnreadableBody, lambda: parse_coderbyte(body))
    if signal_kind(parsed.operation) is not None:
        about = {"address_hash": "h", "sealed_body_id": UUID(int=2)}
        _comes_back(_refusing(UnreadableBody, lambda: to_signal(parsed, _DELIVERY, **about)))  # type: ignore[arg-type]


def _signature(body: bytes) -> None:
    header = body.decode("utf-8", "surrogateescape")
    keys = [b"first", b"second"]
    checks: list[Callable[[], int]] = [
        lambda: verify_signature(b"{}", [header], keys),
        lambda: verify_token([header], keys, issuer="northwindhiring", now=NOW),
    ]
    for check in checks:
        try:
            check()
        except SignatureRejected as refusal:
            if header and len(header) > 8 and header in str(refusal):
                raise Broken("a refusal repeats the signature") from None
            continue
        if body not in _SIGNED and header.strip() not in {one.decode() for one in _SIGNED}:
            raise Broken("a header that nobody signed is accepted")


def _message(body: bytes) -> None:
    _comes_back(_refusing(PermanentError, lambda: decode(body)))


def _account_file(body: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(body)
        file.flush()
        try:
            account = read(Path(file.name))
        except FileError as refusal:
            lines = str(refusal).splitlines()
            if not lines or not all(re.match(rf"{file.name}(:\d+)*: .*\S", line) for line in lines):
                raise Broken(f"a refusal without a place: {lines}") from None
            raise Refused(str(refusal).replace(file.name, "")) from None
    json.dumps(account.model_dump(mode="json"), allow_nan=False)
    for document in account.workflows:
        compile_workflow(document, 1)


def _report(body: bytes) -> None:
    data = success_data(body)
    entries = data.get("reports") if isinstance(data, dict) else data
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    reports = [parse_report(entry) for entry in entries]
    for raw, report in zip(entries, reports, strict=True):
        result = to_result(report, Options(), attempt_count=1, time_expired=None)
        _can_be_stored(*report.keys, report.link, report.internal_id, report.assessment_name)
        json.dumps([result.score, result.minutes_taken, result.qualifying_score], allow_nan=False)
        if raw.get("final_score") is None and result.score is not None:
            raise Broken("a score that nobody gave")
        if not isinstance(raw.get("qualified"), bool | int | str) and result.qualified is not None:
            raise Broken("a qualification that nobody gave")
    for policy in PickAttempt:
        if (pick_attempt(reports, policy) is None) is bool(reports):
            raise Broken("no attempt counts")


def _can_be_stored(*texts: str | None) -> None:
    for text in texts:
        if b"\x00" in (text or "").encode():
            raise Broken("a text that the database does not take")


def _answer(body: bytes) -> None:
    text = body.decode("latin-1")
    wait = parse_retry_after(text, NOW)
    if wait is not None and not timedelta() <= wait <= timedelta(days=1):
        raise Broken(f"a wait of {wait}")
    for status in (200, 400, 429, 503):
        classify(Answered(status=status, body=body, retry_after=text), "someone@example.com", NOW)
    if "@" in vendor_words(body, "someone@example.com"):
        raise Broken("an address in the vendor's words")


def _rows(body: bytes) -> None:
    v3_rows.note_id_of(body)
    if len(words_of(body)) > 200:
        raise Broken("the vendor's words without end")
    for kind in (v3_rows.ApplicationRow, v3_rows.ApplicationStageRow, v3_rows.CandidateRow, v3_rows.StageOfJobRow):
        try:
            rows = v3_rows.rows_of(kind, body)
        except (PermanentError, TransientError):
            continue
        for row in rows:
            row.view()  # type: ignore[attr-defined]
    lists: tuple[TypeAdapter[Any], ...] = (v1_rows.APPLICATIONS, v1_rows.CANDIDATES, v1_rows.STAGES)
    for adapter in lists:
        try:
            of_v1 = parsed(adapter, body)
        except TransientError:
            continue
        for row in of_v1:
            row.view()
    try:
        feed = parsed(v1_rows.FEED, body)
    except TransientError:
        return
    for note in feed.notes:
        note.view()


def _refusing(refusal: type[Exception], run: Callable[[], Read]) -> Read:
    try:
        return run()
    except refusal as error:
        raise Refused(str(error)) from None


def _comes_back(message: Envelope) -> None:
    if decode(encode(message)) != message:
        raise Broken("what was read is another message when it is sent and read again")


# -- inputs to begin with

_SIGNED: Final = (
    b"sha256 " + b"0" * 64,
    b"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJub3J0aHdpbmRoaXJpbmcifQ."
    b"PHRuIlzmpVLw8GVmcebgU7QY1VDWh5Ij8iTiU3qEdb4",
)
_ROWS: Final = (
    b'[{"id":1,"application_id":2,"job_interview_stage_id":3,"entered_at":"2026-11-20T08:31:07.552Z","current":true}]',
    b'[{"id":1,"candidate_id":2,"job_id":3,"status":"in_process","prospect":false,"last_activity_at":"2026-11-20"}]',
    b'[{"id":1,"name":"Offer","job_id":3,"active":true,"sort_order":2,"deleted_at":null,"emails":[{"value":"a@b.c"}]}]',
    b'{"message":"m","errors":[{"field":"x","message":"is wrong"}],"id":5}',
)
_YAML: Final = tuple(
    b"&a *a <<: !!int !x ? - | > # % @ ` --- ... ~ .inf 2026-99-99 0x 1e999 = ' \" [ ] { } \t".split(b" ")
)


def _samples(vendor: str) -> Iterator[bytes]:
    for path in sorted((_DATA / vendor).glob("*.json")):
        yield json.dumps(json.loads(path.read_text("utf-8")), separators=(",", ":")).encode()


def _facts(body: bytes) -> list[Envelope]:
    try:
        return to_facts(parse_greenhouse(body), _DELIVERY, _RULES)
    except UnreadableBody:
        return []


_ACCOUNT_FILES: Final = (
    b"account: a\n",
    b"account: a\nsettings: {invite.reinvite: never}\ncustom_fields: [x]\n",
    b"account: &a a\nworkflows:\n- name: *a\n  rules:\n  - {name: r, when: {stage_entered: {stage: [1, Offer]}}, then: [{move: next}]}\n",
    b'{"account":"a","coderbyte":{"organization_id":"o","api_key":"env:K","settings":{"report.poll_schedule":[60]}}}',
    b'{"account":"a","workflows":[{"name":"w","settle_s":0,"jobs":[1],"rules":[{"name":"r","when":{"assessment_completed"'
    b':{}},"if":{"all":[{"score":{"at_least":1}},{"not":{"integrity":"none"}}]},"then":[{"add_note":"{score}"}]}]}]}',
)


def _words(bodies: Any) -> list[bytes]:
    """The keys and words of *bodies*, as JSON writes them."""
    return sorted({*_JSON, *(word for body in bodies for word in re.findall(rb'"[a-z_]{1,40}"', body))})
