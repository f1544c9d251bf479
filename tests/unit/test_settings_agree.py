"""The file's table of settings and what each service accepts are the same names, types and defaults."""

from __future__ import annotations

from trellis.assessments.domain.options import KNOWN
from trellis.common.contracts.connection_settings import SETTINGS
from trellis.greenhouse_actions.connection import ConnectionSettings

ASSUMED_BY_THE_SERVICE = {"v3.sub"}
"""Names whose default is a rule rather than a value."""


def owned(owner: str) -> set[str]:
    return {name for name, setting in SETTINGS.items() if owner in setting.owners}


def test_greenhouse_actions_takes_every_setting_of_its_own_and_no_unlisted_one() -> None:
    names = {field.alias or name for name, field in ConnectionSettings.model_fields.items()}
    ingest_only = {name for name in names if name.startswith("hook.")}
    assert names - ingest_only == owned("greenhouse-actions")


def test_its_defaults_are_those_of_the_table() -> None:
    settings = ConnectionSettings()
    for name, field in ConnectionSettings.model_fields.items():
        alias = field.alias or name
        if alias in SETTINGS and alias not in ASSUMED_BY_THE_SERVICE:
            value = getattr(settings, name)
            shown = list(value) if isinstance(value, tuple) else value
            assert shown == SETTINGS[alias].default, alias


def test_assessments_takes_every_setting_of_its_own() -> None:
    assert owned("assessments") <= set(KNOWN)
