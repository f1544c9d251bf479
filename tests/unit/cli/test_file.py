"""References to secrets, settings, and the schema that editors get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from tests.unit.test_documents import example

from trellis.cli.account_file import Url, resolve
from trellis.cli.main import cli
from trellis.cli.reading import FileError, read
from trellis.common.contracts.connection_settings import SETTINGS, for_owner
from trellis.common.errors import InputError


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    assert resolve("env:KEY", {"KEY": "v"}, tmp_path) == "v"
    assert resolve("file:key", {}, tmp_path) == "s3cret"


@pytest.mark.parametrize("reference", ["env:MISSING", "env:EMPTY", "file:missing", "file:empty"])
def test_a_secret_that_is_not_there_is_told_by_its_reference(tmp_path: Path, reference: str) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=reference):
        resolve(reference, {"EMPTY": ""}, tmp_path)


def test_the_printed_schema_takes_the_documented_example_and_refuses_a_misspelt_setting() -> None:
    schema = json.loads(CliRunner().invoke(cli, ["schema"]).output)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    document = YAML(typ="safe").load(example())
    assert list(validator.iter_errors(document)) == []
    document["greenhouse"]["settings"]["note.visibilty"] = "public"
    assert list(validator.iter_errors(document))


def test_a_file_on_the_standard_input_is_read_and_its_faults_have_a_place() -> None:
    result = CliRunner().invoke(cli, ["apply", "-f", "-"], input="account: northwind\nworkflow: []\n")
    assert isinstance(result.exception, FileError)
    assert "-:2:1: workflow" in str(result.exception)


def faults_of(text: str, folder: Path, environ: dict[str, str] | None = None) -> list[str]:
    file = folder / "trellis.yaml"
    file.write_text(text)
    with pytest.raises(FileError) as refusal:
        read(file, environ)
    return [line.removeprefix(f"{file}:") for line in str(refusal.value).splitlines()]


def test_every_faulty_setting_is_told_at_its_place(tmp_path: Path) -> None:
    wrong = "account: a\nsettings:\n  note.visibilty: public\n  verify.second_read_s: -1\n  rate.share: much\n"
    told = faults_of(wrong, tmp_path)
    assert told[0].startswith("3:19: settings.note.visibilty: expected a known setting, one of ")
    assert told[1:] == [
        "4:25: settings.verify.second_read_s: expected at least 0",
        "5:15: settings.rate.share: expected number",
    ]


def test_every_reference_that_leads_nowhere_is_told_at_its_place(tmp_path: Path) -> None:
    v1 = "account: a\ngreenhouse: {api_version: v1, api_key: env:V1_KEY, service_user_id: 1}\n"
    keys = "coderbyte:\n  organization_id: o\n  api_key: env:KEY\n  accepted_webhook_keys: [env:KEY, file:old]\n"
    assert faults_of(v1 + keys, tmp_path, {"KEY": "k"}) == [
        "2:40: greenhouse.api_key: env:V1_KEY: expected the environment variable V1_KEY to be set; export V1_KEY=…",
        "6:36: coderbyte.accepted_webhook_keys.1: file:old: expected the file old to be readable; "
        "create it, readable by you only",
    ]


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://harvest.greenhouse.io/v3", True),
        ("http://127.0.0.1:8080/v3", True),
        ("http://[::1]:8080", True),
        ("http://sandbox:8080/greenhouse/v3", True),
        ("http://localhost", True),
        ("http://localhost.example/v3", False),
        ("http://sandbox.example", False),
        ("http://harvest.greenhouse.io/v3", False),
        ("https://", False),
        ("https://user:password@harvest.example", False),
        ("http://[::1", False),
        ("https://harvest.example:port", False),
    ],
)
def test_only_this_machine_and_the_sandbox_are_called_in_the_clear(url: str, fits: bool) -> None:
    taken = TypeAdapter(Url)
    if fits:
        assert taken.validate_python(url) == url
    else:
        with pytest.raises(ValidationError):
            taken.validate_python(url)


def test_every_setting_reaches_the_services_it_is_for() -> None:
    everything = {name: setting.default for name, setting in SETTINGS.items()}
    reached = {
        name for owner in ("ingest", "greenhouse-actions", "assessments") for name in for_owner(everything, owner)
    }
    assert reached == set(SETTINGS)


def test_the_command_without_a_key_ring_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from trellis.common.errors import PermanentError

    monkeypatch.delenv("TRELLIS_KEYRING_FILE", raising=False)
    result = CliRunner().invoke(cli, ["endpoints"])
    assert isinstance(result.exception, PermanentError)
    assert "TRELLIS_KEYRING_FILE" in str(result.exception)
