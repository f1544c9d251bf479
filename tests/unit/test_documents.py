"""What the documents say is so: generated parts are fresh, the example is a valid file, words and links hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.docs.__main__ import generated

from trellis.cli.reading import FileError, read
from trellis.common.contracts.connection_settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def examples() -> list[str]:
    """The complete example of docs/configuration.md, and that of a connection through Harvest v1."""
    return re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/configuration.md").read_text(), re.DOTALL)


def example() -> str:
    """The complete example."""
    return examples()[0]


def test_generated_documents_are_what_the_code_says() -> None:
    stale = [path.name for path, text in generated().items() if path.read_text() != text]
    assert not stale, "run `python -m tools.docs`"


def test_the_example_of_the_accounts_file_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "trellis.yaml"
    file.write_text(example())
    account = read(file)
    assert account.account == "northwind"
    assert [rule.name for rule in account.workflows[0].rules] == ["send-test", "hold-cheats", "pass", "fail"]
    assert set(account.all_settings()) <= set(SETTINGS)


def test_the_example_of_a_connection_through_harvest_v1_is_valid(tmp_path: Path) -> None:
    (_, through_v1) = examples()
    file = tmp_path / "trellis.yaml"
    file.write_text("account: northwind\n" + through_v1)
    greenhouse = read(file).greenhouse
    assert greenhouse is not None and (greenhouse.api_version, greenhouse.client_id) == ("v1", None)


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("api_version: v1", "api_version: v3", "greenhouse: expected client_id, which Harvest v3 needs"),
        ("api_key: env:GREENHOUSE_API_KEY", "client_id: x", "greenhouse: expected api_key, which Harvest v1 needs"),
        (
            "service_user_id",
            "token_url: https://x.example\n  service_user_id",
            "greenhouse.token_url: expected nothing here",
        ),
        (
            "service_user_id",
            "client_secret: env:X\n  service_user_id",
            "greenhouse.client_secret: expected nothing here",
        ),
    ],
)
def test_what_the_version_of_harvest_needs_and_does_not_know_is_told(
    tmp_path: Path, wrong: str, right: str, told: str
) -> None:
    file = tmp_path / "trellis.yaml"
    file.write_text("account: northwind\n" + examples()[1].replace(wrong, right, 1))
    with pytest.raises(FileError, match=told):
        read(file)


@pytest.mark.parametrize(
    ("wrong", "right", "place"),
    [
        ("service_user_id: 4400199003", "service_user_id: bot", "greenhouse.service_user_id"),
        ("client_secret: env:GREENHOUSE_CLIENT_SECRET", "client_secret: hunter2", "a reference"),
        ("note.visibility: private", "note.visibility: everyone", "public, private, admin_only"),
        ("note.visibility: private", "note.visibilty: private", "note.visibilty"),
        ("then:\n          - send_assessment", "then:\n          - send_asessment", "send_asessment"),
        ("at_least: 70", "at_least: 700", "less than or equal to 100"),
        ("move: next                # or", "move: [next]   # or", "move"),
        ("account: northwind", "acount: northwind", "account"),
        ("workflows:", "workflows: [", "no YAML"),
    ],
)
def test_a_fault_in_it_is_told_with_line_and_column_and_without_the_secret(
    tmp_path: Path, wrong: str, right: str, place: str
) -> None:
    file = tmp_path / "trellis.yaml"
    text = example()
    assert wrong in text
    file.write_text(text.replace(wrong, right, 1))
    with pytest.raises(FileError) as caught:
        read(file)
    message = str(caught.value)
    assert place in message
    assert re.search(r"trellis\.yaml:\d+:\d+: ", message)
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if not target.startswith(("http", "mailto")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
