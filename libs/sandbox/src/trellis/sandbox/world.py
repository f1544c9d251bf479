"""The whole state of the sandbox: its accounts, its clock and its logs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from trellis.sandbox.bodies import ControlError
from trellis.sandbox.calls import CallCounts, CallLog
from trellis.sandbox.clock import Clock
from trellis.sandbox.coderbyte.state import Coderbyte
from trellis.sandbox.deliveries import DeliveryLog, Dispatcher
from trellis.sandbox.faults import FaultQueue
from trellis.sandbox.greenhouse.state import Greenhouse
from trellis.sandbox.ids import Ids
from trellis.sandbox.switches import Switches

SEED = 20261123


@dataclass
class Account:
    """One customer: a Greenhouse account and a Coderbyte organization, with switches, faults and counts."""

    name: str
    world: World
    greenhouse: Greenhouse
    coderbyte: Coderbyte
    switches: Switches
    faults: FaultQueue = field(default_factory=FaultQueue)
    webhook_faults: FaultQueue = field(default_factory=FaultQueue)
    counts: CallCounts = field(default_factory=CallCounts)
    deliveries: DeliveryLog = field(default_factory=DeliveryLog)


class World:
    """Everything the sandbox knows; empty until an account is created."""

    def __init__(self, seed: int = SEED) -> None:
        self._seed = seed
        self.clock = Clock()
        self.dispatcher = Dispatcher(self.clock)
        self.accounts: dict[str, Account] = {}
        self.time_scale: float | None = None
        """`hook.time_scale` of accounts made from now on; `None` leaves the default."""
        self._forget()

    async def reset(self) -> None:
        """Back to an empty world; deliveries on their way are given up."""
        await self.dispatcher.abandon()
        self.clock.reset()
        self.accounts.clear()
        self.time_scale = None
        self._forget()

    def _forget(self) -> None:
        self.ids = Ids()
        self.calls = CallLog()
        self.rng = random.Random(self._seed)  # noqa: S311 - invite keys must be the same on every run
        self.token_count = 0
        self.event_count = 0

    def new_account(self, name: str, *, organization_id: str, api_key: str) -> Account:
        """An account without records.

        Raises:
            ControlError: 409, the name, organization or key is taken.
        """
        if name in self.accounts:
            raise ControlError(f"account '{name}' exists", 409)
        for other in self.accounts.values():
            if api_key in other.coderbyte.accepted_keys:
                raise ControlError("the API key belongs to another account", 409)
            if organization_id == other.coderbyte.organization_id:
                raise ControlError(f"organization '{organization_id}' exists", 409)
        switches = Switches()
        if self.time_scale is not None:
            switches.set("hook.time_scale", self.time_scale)
        account = Account(
            name,
            self,
            Greenhouse(name, ids=self.ids, clock=self.clock, switches=switches),
            Coderbyte(organization_id, api_key, rng=self.rng, clock=self.clock, switches=switches),
            switches,
        )
        self.accounts[name] = account
        return account

    def account(self, name: str) -> Account:
        """The account of that name; raises `ControlError` with 404 if there is none."""
        if name not in self.accounts:
            raise ControlError(f"no account '{name}'", 404)
        return self.accounts[name]

    def by_client(self, client_id: str) -> Account | None:
        """The account an OAuth client belongs to."""
        return next((a for a in self.accounts.values() if client_id in a.greenhouse.credentials), None)

    def by_harvest_key(self, key: str) -> Account | None:
        """The account a key to Harvest v1 belongs to."""
        return next((a for a in self.accounts.values() if key and a.greenhouse.harvest_key.key == key), None)

    def by_token(self, token: str) -> Account | None:
        """The account an access token was handed out by, revoked or not."""
        return next((a for a in self.accounts.values() if token in a.greenhouse.tokens), None)

    def by_api_key(self, key: str) -> Account | None:
        """The account a Coderbyte key selects."""
        return next((a for a in self.accounts.values() if key in a.coderbyte.accepted_keys), None)
