"""What is fed to both sides: webhooks nobody could take for repeats, batches, and the way between marks."""

import hashlib
import hmac
import json

from bench.bodies import BODY_BYTES, signature, stage_changes
from bench.latency import way
from bench.load import requests
from bench.workflow import batches, facts

from trellis.common.store.inbox import keys_of


def test_bodies_are_6_kb_and_none_repeats_another() -> None:
    bodies = list(stage_changes(50))
    assert len(set(bodies)) == 50
    assert {len(body) for body in bodies} == {BODY_BYTES}
    seen = [json.loads(body)["payload"]["application"] for body in bodies]
    assert len({(one["id"], one["last_activity_at"]) for one in seen}) == 50


def test_a_request_carries_its_own_signature_and_event_id() -> None:
    first, second = requests("http://127.0.0.1:1/webhooks/greenhouse/x", "secret", count=2, first=7)
    head, _, body = first.partition(b"\r\n\r\n")
    expected = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert f"Signature: sha256 {expected}\r\n".encode() in head
    assert signature(body, "secret") == f"sha256 {expected}"
    assert b"Greenhouse-Event-ID: 7\r\n" in head
    assert b"Greenhouse-Event-ID: 8\r\n" in second


def test_facts_are_of_different_applications_and_in_no_inbox_yet() -> None:
    fed = facts(30)
    keys = [key for fact in fed for key in keys_of(fact)]
    assert len(set(keys)) == 60
    assert [len(batch) for batch in batches(fed, 20)] == [20, 10]


def test_the_way_is_told_between_the_marks_that_were_seen() -> None:
    told = way({"sent": 1.0, "decided": 1.010, "invited": 1.030})
    assert [round(value) for value in told.values()] == [10, 20]
