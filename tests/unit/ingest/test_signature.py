"""Signatures of both vendors, by the vectors of the fact sheets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from trellis.common.errors import PermanentError
from trellis.ingest.signature import SignatureRejected, key_bytes, verify_signature, verify_token

VECTORS = json.loads((Path(__file__).resolve().parents[2] / "data/greenhouse/signature_vectors.json").read_text())
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
KEY = b"sim-api-key-0001"
WITHOUT_IAT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJub3J0aHdpbmRoaXJpbmcifQ."
    "PHRuIlzmpVLw8GVmcebgU7QY1VDWh5Ij8iTiU3qEdb4"
)
WITH_IAT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJpc3MiOiJub3J0aHdpbmRoaXJpbmciLCJpYXQiOjE3NjcyMjU2MDB9."
    "RnQC9RtQz6gMurabycuTUwipjMa9imGUIW1T2bZ1T7U"
)


def refused(headers: list[str], body: bytes, secrets: list[bytes]) -> str:
    with pytest.raises(SignatureRejected) as caught:
        verify_signature(body, headers, secrets)
    return str(caught.value)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_a_published_vector_verifies_and_no_other_body_does(vector: dict[str, str]) -> None:
    secret = vector["secret"].encode()
    for other in VECTORS:
        body = bytes.fromhex(other["body_hex"])
        if (other["body_hex"], other["secret"]) == (vector["body_hex"], vector["secret"]):
            assert verify_signature(body, [vector["signature_header"]], [secret]) == 0
        elif other["body_hex"] != vector["body_hex"]:
            assert refused([vector["signature_header"]], body, [secret]) == "signature_wrong"


def test_there_are_seven_vectors() -> None:
    assert [vector["name"] for vector in VECTORS] == ["W1", "W2", "W3", "W4", "W5", "W6", "W7"]


def test_a_real_ping_that_a_customer_published_verifies() -> None:
    """Source: grnhse/greenhouse-api-docs, issue 276 (27 December 2018): body, secret and signature as quoted there."""
    body = (
        b'{"action":"ping","payload":{"web_hook_id":4001693002,"endpoint_url":"https://67e09e60.ngrok.io/webhooks",'
        b'"created_at":"2018-12-20T15:43:12Z","updated_at":"2018-12-27T09:40:14Z","name":"Job Post Create",'
        b'"event":"Job Post Created","active":true,"content-type":"application/json"}}'
    )
    header = "sha256 395b1309fd37f0732d1ed11c15e03edd61b818918df6bf93be7c71bafb09c877"
    assert verify_signature(body, [header], [b"1uSUju2H6AohOE7OQVaxeLT3O8Uxxuas"]) == 0


def test_every_live_secret_is_tried_and_the_one_that_signs_is_named() -> None:
    header = "sha256 " + hmac.new(b"second", b"{}", hashlib.sha256).hexdigest()
    assert verify_signature(b"{}", [header], [b"first", b"second", b"third"]) == 1
    assert refused([header], b"{}", [b"first", b"third"]) == "signature_wrong"
    assert refused([header], b"{}", []) == "signature_wrong"


def test_scheme_and_digits_may_be_in_any_case() -> None:
    digits = hmac.new(b"s", b"{}", hashlib.sha256).hexdigest()
    assert verify_signature(b"{}", [f"SHA256 {digits.upper()}"], [b"s"]) == 0


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "signature_missing"),
        (["sha256 " + "0" * 64, "sha256 " + "0" * 64], "signature_doubled"),
        (["sha256=" + "0" * 64], "signature_malformed"),
        (["sha256  " + "0" * 64], "signature_malformed"),
        (["sha256 " + "0" * 63], "signature_malformed"),
        (["sha256 " + "0" * 65], "signature_malformed"),
        (["sha256 " + "g" * 64], "signature_malformed"),
        (["sha256 " + "X" * 64], "signature_malformed"),
        (["sha256 " + "٠" * 64], "signature_malformed"),
        (["sha512 " + "0" * 64], "signature_malformed"),
        (["sha256 "], "signature_malformed"),
        ([""], "signature_malformed"),
        (["sha256 " + "0" * 64 + ", sha256 " + "0" * 64], "signature_malformed"),
    ],
)
def test_a_header_of_another_form_is_refused(headers: list[str], reason: str) -> None:
    assert refused(headers, b"{}", [b"s"]) == reason


def token(claims: object, *, key: bytes = KEY, head: object = None) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signing = f"{part(head or {'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    signature = base64.urlsafe_b64encode(hmac.new(key, signing.encode(), hashlib.sha256).digest())
    return f"{signing}.{signature.rstrip(b'=').decode()}"


def bearer(text: str, **more: object) -> int:
    arguments = {"keys": [KEY], "issuer": "northwindhiring", "now": NOW} | more
    return verify_token([f"Bearer {text}"], **arguments)  # type: ignore[arg-type]


def test_the_vendors_two_tokens_verify() -> None:
    assert bearer(WITHOUT_IAT) == 0
    assert bearer(WITH_IAT, keys=[b"newer", KEY]) == 1
    assert verify_token([f"bEARER {WITHOUT_IAT}"], [KEY], issuer="northwindhiring", now=NOW) == 0


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_what_a_jwt_library_issues_verifies() -> None:
    claims = {"iss": "northwindhiring", "exp": int((NOW + timedelta(minutes=5)).timestamp()), "jti": "x"}
    assert bearer(jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "k"})) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WITHOUT_IAT[:-1] + "5", "signature_malformed"),  # other bits than any encoder sets
        (WITHOUT_IAT[:-2] + "c4", "signature_wrong"),
        (token({"iss": "northwindhiring"}, key=b"another"), "signature_wrong"),
        (token({"iss": "someoneelse"}), "issuer_wrong"),
        (token({}), "issuer_wrong"),
        (token({"iss": ["northwindhiring"]}), "issuer_wrong"),
        (token({"iss": "northwindhiring"}, head={"alg": "none"}), "algorithm_refused"),
        (token({"iss": "northwindhiring"}, head={"alg": "None"}), "algorithm_refused"),
        (token({"iss": "northwindhiring"}, head={"alg": "HS512"}), "algorithm_refused"),
        (token({"iss": "northwindhiring"}, head={"alg": "hs256"}), "algorithm_refused"),
        (token({"iss": "northwindhiring"}, head={"alg": "RS256"}), "algorithm_refused"),
        (token({"iss": "northwindhiring"}, head={"alg": "HS256", "crit": ["b64"]}), "algorithm_refused"),
        (token({"iss": "northwindhiring"}, head=["HS256"]), "signature_malformed"),
        (token(["northwindhiring"]), "signature_malformed"),
        (WITHOUT_IAT.rsplit(".", 1)[0] + ".", "signature_wrong"),
        (WITHOUT_IAT.rsplit(".", 1)[0], "signature_malformed"),
        (WITHOUT_IAT + ".x", "signature_malformed"),
        ("a.b.c", "signature_malformed"),
        ("eHg.eHg.AA", "signature_malformed"),  # base64 of what is no JSON
        (WITHOUT_IAT.rsplit(".", 1)[0] + ".A", "signature_malformed"),
        (WITHOUT_IAT.rsplit(".", 1)[0] + ".\u00e9\u00e9\u00e9\u00e9", "signature_malformed"),
        (WITHOUT_IAT.rsplit(".", 1)[0] + ".A+/=", "signature_malformed"),
        ("", "signature_malformed"),
        ("e30." * 2000, "signature_malformed"),
        (token({"iss": "northwindhiring", "exp": "soon"}), "claim_malformed"),
        (token({"iss": "northwindhiring", "exp": True}), "claim_malformed"),
        (token({"iss": "northwindhiring", "exp": 10**400}), "claim_malformed"),
        (token({"iss": "northwindhiring", "exp": float("nan")}), "claim_malformed"),
        (token({"iss": "northwindhiring", "nbf": float("-inf")}), "claim_malformed"),
        (token({"iss": "northwindhiring", "exp": NOW.timestamp() - 61}), "token_expired"),
        (token({"iss": "northwindhiring", "nbf": NOW.timestamp() + 61}), "token_early"),
    ],
)
def test_a_token_of_another_kind_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SignatureRejected) as caught:
        bearer(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "signature_missing"),
        ([f"Bearer {WITHOUT_IAT}"] * 2, "signature_doubled"),
        ([WITHOUT_IAT], "signature_malformed"),
        ([f"Basic {WITHOUT_IAT}"], "signature_malformed"),
        (["Bearer "], "signature_malformed"),
    ],
)
def test_exactly_one_bearer_header_is_accepted(headers: list[str], reason: str) -> None:
    with pytest.raises(SignatureRejected) as caught:
        verify_token(headers, [KEY], issuer="northwindhiring", now=NOW)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("claim", "seconds", "is_accepted"),
    [
        ("exp", -59, True),
        ("exp", -60, False),
        ("exp", 10, True),
        ("nbf", 60, True),
        ("nbf", 61, False),
        ("nbf", 0, True),
    ],
)
def test_times_are_enforced_with_a_minute_of_leeway(claim: str, seconds: int, is_accepted: bool) -> None:
    text = token({"iss": "northwindhiring", claim: NOW.timestamp() + seconds})
    if is_accepted:
        assert bearer(text) == 0
    else:
        with pytest.raises(SignatureRejected):
            bearer(text)


def test_a_token_without_expiry_is_refused_only_where_the_account_says_so() -> None:
    assert bearer(WITHOUT_IAT) == 0
    with pytest.raises(SignatureRejected, match=r"^expiry_missing$"):
        bearer(WITHOUT_IAT, require_exp=True)
    assert bearer(token({"iss": "northwindhiring", "exp": NOW.timestamp() + 5}), require_exp=True) == 0


@pytest.mark.parametrize(("length", "reason"), [(4096, "signature_wrong"), (4097, "signature_malformed")])
def test_a_token_may_be_four_thousand_and_ninety_six_bytes_long(length: int, reason: str) -> None:
    """Both are well formed but for their length: a signature of 46 or 47 signs, zeros all of them."""
    signing = next(
        signing for size in range(3000) if len(signing := token({"iss": "x" * size}).rpartition(".")[0]) == 4096 - 47
    )
    with pytest.raises(SignatureRejected) as caught:
        bearer(f"{signing}.{'A' * (length - len(signing) - 1)}")
    assert str(caught.value) == reason


def test_a_key_is_taken_as_text_or_as_base64() -> None:
    assert key_bytes("schlüssel", "utf8") == "schlüssel".encode()
    assert key_bytes("c2VjcmV0", "base64") == b"secret"
    for text in ("not base64!", "c2Vj cmV0", "c2VjcmV"):
        with pytest.raises(PermanentError):
            key_bytes(text, "base64")
