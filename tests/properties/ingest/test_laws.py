"""Laws of the edge: no flipped bit verifies, and no personal data gets past translation."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trellis.common.contracts.envelope import decode, encode
from trellis.common.contracts.identifiers import AccountId
from trellis.ingest.signature import SignatureRejected, verify_signature, verify_token
from trellis.ingest.translation import Delivery, Rules, is_known, to_facts, to_signal
from trellis.ingest.webhooks import UnreadableBody, parse_coderbyte, parse_greenhouse

DATA = Path(__file__).resolve().parents[2] / "data"
DELIVERY = Delivery(
    id=UUID(int=5), account=AccountId("acme"), received_at=datetime(2026, 11, 24, tzinfo=UTC), digest="d" * 64
)
BODIES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((DATA / "greenhouse").glob("*.json"))
    if path.stem != "signature_vectors"
}
KNOWN = [name for name, body in BODIES.items() if is_known(body["action"])]


@given(body=st.binary(max_size=300), secret=st.binary(min_size=1, max_size=70), bit=st.integers(min_value=0))
def test_any_flipped_bit_of_a_body_fails_the_signature(body: bytes, secret: bytes, bit: int) -> None:
    header = f"sha256 {hmac.new(secret, body, hashlib.sha256).hexdigest()}"
    assert verify_signature(body, [header], [secret]) == 0
    assume(body)
    index, mask = divmod(bit % (len(body) * 8), 8)
    flipped = bytearray(body)
    flipped[index] ^= 1 << mask
    with pytest.raises(SignatureRejected):
        verify_signature(bytes(flipped), [header], [secret])


@given(body=st.binary(max_size=100), secret=st.binary(min_size=1, max_size=70), bit=st.integers(0, 255))
def test_any_flipped_bit_of_a_digest_or_of_a_secret_fails(body: bytes, secret: bytes, bit: int) -> None:
    digest = bytearray(hmac.digest(secret, body, hashlib.sha256))
    other = bytearray(secret)
    other[bit % len(other)] ^= 1 << (bit % 8)
    assume(bytes(other).rstrip(b"\0") != secret.rstrip(b"\0"))  # HMAC pads a short key with zeros
    with pytest.raises(SignatureRejected):
        verify_signature(body, [f"sha256 {digest.hex()}"], [bytes(other)])
    digest[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SignatureRejected):
        verify_signature(body, [f"sha256 {digest.hex()}"], [secret])


@given(at=st.integers(min_value=0), bit=st.integers(0, 6))
def test_any_changed_character_of_a_token_fails(at: int, bit: int) -> None:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    now = datetime(2026, 11, 24, tzinfo=UTC)
    signing = part(b'{"alg":"HS256"}') + "." + part(b'{"iss":"northwindhiring"}')
    token = signing + "." + part(hmac.digest(b"k", signing.encode(), hashlib.sha256))
    index = at % len(token)
    changed = token[:index] + chr(ord(token[index]) ^ (1 << bit)) + token[index + 1 :]
    assert verify_token([f"Bearer {token}"], [b"k"], issuer="northwindhiring", now=now) == 0
    with pytest.raises(SignatureRejected):
        verify_token([f"Bearer {changed}"], [b"k"], issuer="northwindhiring", now=now)


PLANTED = "Planted Person ✉ "


def planted(value: Any, path: tuple[str, ...], found: list[str]) -> Any:
    """Return *value* with every text replaced by a planted one, but for words that the vendor defines."""
    if isinstance(value, dict):
        return {key: planted(item, (*path, key), found) for key, item in value.items()}
    if isinstance(value, list):
        return [planted(item, (*path, "[]"), found) for item in value]
    is_word = path in {("action",), ("payload", "application", "status"), ("payload", "anonymized_fields", "[]")}
    is_stage_name = path == ("payload", "application", "current_stage", "name")
    is_time = path[-1].endswith("_at")
    if not isinstance(value, str) or is_word or is_stage_name or is_time:
        return value
    found.append(f"{PLANTED}{len(found)}")
    return found[-1]


def extras() -> st.SearchStrategy[Any]:
    """Fields that the vendor may add any day, with personal data in them."""
    text = st.just(PLANTED + "extra") | st.text(max_size=5).map(lambda more: PLANTED + more)
    return st.recursive(text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(KNOWN))
    body: dict[str, Any] = planted(json.loads(json.dumps(BODIES[name])), (), [])
    places = [body["payload"]]
    for value in body["payload"].values():
        if isinstance(value, dict):
            # The name of a stage belongs to the company, not to a person, and passes.
            places += [value, *(one for key, one in value.items() if isinstance(one, dict) and key != "current_stage")]
    for place in places:
        if draw(st.booleans()):
            place[draw(st.sampled_from(["notes", "answers", "email", "name", "phone", "new", "attachments"]))] = draw(
                extras()
            )
    return body


@pytest.mark.parametrize("name", [name for name in KNOWN if "job" not in name and "anonymized" not in name])
def test_the_samples_hold_something_to_plant_over(name: str) -> None:
    """Else the property below would prove nothing."""
    found: list[str] = []
    planted(BODIES[name], (), found)
    assert found or name == "delete_application"


@settings(max_examples=60)
@given(body=bodies(), escape=st.booleans())
def test_no_planted_text_gets_into_a_fact(body: dict[str, Any], escape: bool) -> None:
    raw = json.dumps(body, ensure_ascii=escape).encode()
    try:
        envelopes = to_facts(parse_greenhouse(raw), DELIVERY, Rules())
    except UnreadableBody as fault:
        assert "Planted" not in str(fault)
        return
    [envelope] = envelopes
    encoded = encode(envelope)
    assert b"Planted" not in encoded
    assert decode(encoded) == envelope
    assert "Planted" not in (envelope.subject or "") + (envelope.contentkey or "")


@settings(max_examples=40)
@given(
    body=bodies(),
    listed=st.sets(
        st.sampled_from(["hourly_rate", "candidate.seniority_band", "candidate.languages", "job.employment_type"])
    ),
)
def test_only_listed_custom_fields_carry_text(body: dict[str, Any], listed: set[str]) -> None:
    try:
        [envelope] = to_facts(
            parse_greenhouse(json.dumps(body).encode()), DELIVERY, Rules(custom_fields=frozenset(listed))
        )
    except UnreadableBody:
        return
    application = getattr(envelope.data, "application", None)
    if application is None:
        assert b"Planted" not in encode(envelope)
        return
    assert set(application.custom_fields) <= listed
    texts = json.dumps(application.custom_fields).count("Planted")
    assert encode(envelope).count(b"Planted") == texts


@given(
    operation=st.sampled_from(["candidate_joined", "assessment_completed", "scorecard_updated", "interview_completed"]),
    more=extras(),
)
def test_no_planted_text_gets_into_a_hint(operation: str, more: Any) -> None:
    body = {
        "operation": operation, "organization_id": "northwindhiring", "email": PLANTED + "@example.com",
        "assessment_id": "a-1", "interview_id": "i1", "report_url": f"https://coderbyte.com/report/{PLANTED}",
        "comment": PLANTED, "email_admin": PLANTED, "recommendation": PLANTED, "trigger": PLANTED, "extra": more,
    }  # fmt: skip
    parsed = parse_coderbyte(json.dumps(body).encode())
    envelope = to_signal(parsed, DELIVERY, address_hash="h", sealed_body_id=UUID(int=1))
    assert b"Planted" not in encode(envelope)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(action=st.sampled_from([BODIES[name]["action"] for name in KNOWN]), payload=json_values)
def test_any_payload_is_a_fact_or_unreadable_and_nothing_else(action: str, payload: Any) -> None:
    raw = json.dumps({"action": action, "payload": payload}).encode()
    try:
        for envelope in to_facts(parse_greenhouse(raw), DELIVERY, Rules(custom_fields=frozenset(["a"]))):
            assert decode(encode(envelope)) == envelope
    except UnreadableBody:
        pass


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_unreadable(raw: bytes) -> None:
    for parse in (parse_greenhouse, parse_coderbyte):
        with contextlib.suppress(UnreadableBody):
            parse(raw)


@given(data=st.data())
def test_a_sample_with_anything_in_any_place_is_a_fact_or_unreadable(data: st.DataObject) -> None:
    body = json.loads(json.dumps(BODIES[data.draw(st.sampled_from(KNOWN))]))
    place: Any = body["payload"]
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(json_values)
            break
        place = inner
    try:
        for envelope in to_facts(parse_greenhouse(json.dumps(body).encode()), DELIVERY, Rules()):
            assert decode(encode(envelope)) == envelope
    except UnreadableBody:
        pass


@given(name=st.sampled_from(KNOWN), extra=st.integers() | st.text() | st.lists(st.booleans()))
def test_a_body_that_must_be_mended_says_the_same_as_before(name: str, extra: Any) -> None:
    """An id as text makes the reader begin again: nothing else of the body may become another."""
    body = json.loads(json.dumps(BODIES[name]))
    strict = to_facts(parse_greenhouse(json.dumps(body).encode()), DELIVERY, Rules())
    inner = next(value for value in [*body["payload"].values(), body["payload"]] if isinstance(value, dict))
    key = "id" if "id" in inner else "candidate_id"
    inner[key] = str(inner[key])
    inner["unknown"] = extra
    mended = to_facts(parse_greenhouse(json.dumps(body).encode()), DELIVERY, Rules())
    assert [one.data for one in mended] == [one.data for one in strict]
