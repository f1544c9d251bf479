"""The fuzzer finds what stands behind several conditions, keeps to its bounds, and shrinks what it finds."""

from __future__ import annotations

import json
import random

import pytest
from tools.fuzzing import __main__ as command
from tools.fuzzing.changing import changed
from tools.fuzzing.coverage import traced
from tools.fuzzing.loop import Broken, Found, Refused, Target, fuzz
from tools.fuzzing.targets import targets


def parse(body: bytes) -> None:
    """A parser with a mistake three steps deep; one in 2^24 random inputs would meet it by luck."""
    if not body.startswith(b"k"):
        raise Refused("kind: expected k")
    if body[1:2] != b"=":
        raise Refused("sign: expected =")
    if body[2:3] == b"\x7f":
        raise KeyError("never thought of")


def driven(target: Target, runs: int) -> Found:
    return fuzz(target, seed=7, seconds=60.0, most_runs=runs, is_ours=lambda name: name == __file__)


SEEDED = Target(name="sample", run=parse, seeds=[b"abc"], words=[b"k", b"=", b"\x7f", b"z"])


def test_what_stands_behind_three_conditions_is_found_and_shrunk() -> None:
    found = driven(SEEDED, 50_000)
    assert found.breaks == (b"k=\x7f", "KeyError: 'never thought of'")


def test_one_seed_makes_one_history() -> None:
    one, other = driven(SEEDED, 400), driven(SEEDED, 400)
    assert (one.runs, one.kept, one.features, one.breaks) == (other.runs, other.kept, other.features, other.breaks)


def test_a_parser_that_does_not_end_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_body: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr("tools.fuzzing.loop.SECONDS_EACH", 0.2)
    found = driven(Target(name="endless", run=endless, seeds=[b""]), 1)
    assert found.breaks == (b"", "Broken: it took longer than 0.2 s")


def test_the_steps_that_a_run_takes_tell_its_branches_apart() -> None:
    def steps(body: bytes) -> set[tuple[object, ...]]:
        def run() -> None:
            with pytest.raises((Refused, KeyError)):
                parse(body)

        return traced(run, is_ours=lambda name: name == __file__)

    assert len({frozenset(steps(body)) for body in (b"", b"k", b"k=\x7f")}) == 3
    assert steps(b"x") == steps(b"y")


@pytest.mark.parametrize("seed", range(20))
def test_an_input_never_exceeds_its_bound(seed: int) -> None:
    known = [b"x" * 90, json.dumps({"a": [1, {"b": None}], "c": "d"}).encode(), b"", b"{", b"[]"]
    draw = random.Random(seed)
    made = [changed(known, [b"word"], draw, longest=100) for _ in range(300)]
    assert max(map(len, made)) <= 100
    assert len(set(made)) > 100


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_every_parser_keeps_its_promises_for_what_it_begins_with_and_a_little_more(target: Target) -> None:
    assert target.seeds
    found = fuzz(target, seed=1, seconds=30.0, most_runs=len(target.seeds) + 40)
    assert found.breaks is None
    assert found.kept > 1


def test_a_broken_promise_fails_the_command_and_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_body: bytes) -> None:
        raise Broken("a mistake")

    monkeypatch.setattr(command, "targets", lambda: [Target(name="sample", run=broken, seeds=[b"long input"])])
    monkeypatch.setattr(command.resource, "setrlimit", lambda *_: None)
    assert command.main(["--seconds", "1", "--seed", "3", "--json"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "seed 3"
    assert json.loads(told[-1])["broken"] == ["sample"]
    assert command.main(["nobody"]) == 2
