"""`trellis apply`: brings the services to what an account's file says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trellis.cli.account_file import AccountFile, resolve
from trellis.cli.environment import Clients
from trellis.common.contracts.connection_settings import for_owner


async def apply(clients: Clients, file: AccountFile, folder: Path, *, dry_run: bool) -> list[str]:
    """Apply *file* and return what that changed, in words; nothing when it was applied before.

    Connections go first and the workflows last, so that no rule acts before its account can.

    Raises:
        InputError: A secret cannot be found, or a service refuses a value.
        TransientError: A service is away; applying again goes on where this stopped.
    """
    requests = _requests(file, folder, dry_run=dry_run)
    changes: list[str] = []
    for service, path, body in requests:
        answer = await clients[service].call("PUT", path, body)
        changes += [str(change) for change in answer["changes"]]
    return changes


def _requests(file: AccountFile, folder: Path, *, dry_run: bool) -> list[tuple[str, str, dict[str, Any]]]:
    base = f"/internal/v1/accounts/{file.account}"
    settings = file.all_settings()
    greenhouse, coderbyte = file.greenhouse, file.coderbyte
    requests: list[tuple[str, str, dict[str, Any]]] = []

    def secret(reference: str) -> str:
        return resolve(reference, os.environ, folder)

    ingest = for_owner(settings, "ingest")
    requests.append(
        (
            "ingest",
            base,
            {
                "custom_fields": file.custom_fields,
                "settings": {name: value for name, value in ingest.items() if name.startswith("hook.")},
                "greenhouse": None
                if greenhouse is None
                else {"webhook_secret": secret(greenhouse.webhook_secret) if greenhouse.webhook_secret else None},
                "coderbyte": None
                if coderbyte is None
                else {
                    "organization_id": coderbyte.organization_id,
                    "accepted_webhook_keys": [secret(coderbyte.api_key), *map(secret, coderbyte.accepted_webhook_keys)],
                    "settings": {name: value for name, value in ingest.items() if name.startswith("webhook.")},
                },
                "dry_run": dry_run,
            },
        )
    )
    if greenhouse is not None:
        requests.append(
            (
                "greenhouse-actions",
                f"{base}/connection",
                {
                    "api_version": greenhouse.api_version,
                    "base_url": greenhouse.base_url,
                    "token_url": greenhouse.token_url,
                    "service_user_id": greenhouse.service_user_id,
                    "settings": for_owner(settings, "greenhouse-actions"),
                    "dry_run": dry_run,
                }
                | {
                    name: secret(reference)
                    for name in ("client_id", "client_secret", "api_key")
                    if (reference := getattr(greenhouse, name)) is not None
                },
            )
        )
    if coderbyte is not None:
        requests.append(
            (
                "assessments",
                f"{base}/connection",
                {
                    "base_url": coderbyte.base_url,
                    "organization_id": coderbyte.organization_id,
                    "api_key": secret(coderbyte.api_key),
                    "settings": for_owner(settings, "assessments"),
                    "dry_run": dry_run,
                },
            )
        )
    documents = [workflow.model_dump(mode="json", by_alias=True, exclude_none=True) for workflow in file.workflows]
    requests.append(("workflow", f"{base}/workflows", {"workflows": documents, "settings": {}, "dry_run": dry_run}))
    return requests
