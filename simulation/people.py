"""Recruiters and candidates, who act upon the vendors, and the vendors, who tell of it by webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

from simulation import webhooks
from simulation.plan import CODING, Act, Life, Plan, draw_act
from simulation.world import TEST, World
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId
from trellis.greenhouse_actions.domain.readings import Address

SPARE = "Recruiter Call"
"""The stage that a person may take out of the plan."""
SOON_SECONDS = 4.0
"""How long a candidate takes at most where what matters is what comes of the result, while things fail."""


class People:
    """Lets people act, and carries the vendors' webhooks in."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.draw = world.draw
        self._plan = plan
        self._acting: list[asyncio.Task[Any]] = []
        world.on_invited = self._invited
        world.on_moved = self._moved_by_us

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* as something that people or vendors do."""
        self._acting.append(asyncio.get_running_loop().create_task(work))

    @property
    def are_done(self) -> bool:
        """Whether nobody acts any more, and no webhook is on its way."""
        self._acting = [task for task in self._acting if not task.done()]
        return not self._acting

    # -- recruiters

    async def live(self, life: Life) -> None:
        """Lead one application's life."""
        world, account = self.world, AccountId(life.account)
        await asyncio.sleep(life.at)
        view = world.greenhouses[account].apply(life.stage, emails=())
        self._address(account, view.id)
        self._changed(account, view.id)
        world.tell("{}: {} applies, in {}", account, view.id, life.stage)
        self._tell_application(account, view.id, "new_candidate_application")
        for act in life.acts:
            await asyncio.sleep(act.after)
            if not world.faulty:
                return
            self.do(account, view.id, act)

    def apply_again(self, account: AccountId, application: ApplicationId) -> None:
        """Let the application's candidate apply once more, into the stage of the test."""
        world, greenhouse = self.world, self.world.greenhouses[account]
        person = greenhouse.truth[application].candidate_id
        fresh = greenhouse.apply(CODING, emails=())
        del greenhouse.people[fresh.candidate_id]
        greenhouse.truth[fresh.id] = replace(fresh, candidate_id=person)
        if (account, application) in world.tagged:
            world.tagged[account, fresh.id] = list(world.tagged[account, application])
        if (account, application) in world.anonymized:
            world.anonymized.add((account, fresh.id))
        self._changed(account, fresh.id)
        world.tell("{}: the candidate of {} applies again: {}", account, application, fresh.id)
        self._tell_application(account, fresh.id, "new_candidate_application")

    async def do_more(self) -> None:
        """Act a little more where little has happened."""
        world = self.world
        await asyncio.sleep(self._plan.faulty_seconds * 0.6)
        while world.message_count < self._plan.least_messages:
            account = AccountId(self.draw.choice(list(world.greenhouses)))
            known = list(world.greenhouses[account].truth)
            if not known:
                self.start(self.live(Life(account=account, at=0.0, stage=CODING, acts=())))
            else:
                self.do(account, self.draw.choice(known), draw_act(self.draw, 0.0))
            await asyncio.sleep(self.draw.random() * 2.0)

    def do(self, account: AccountId, application: ApplicationId, act: Act) -> None:
        """Do one thing with an application, if it can be done."""
        view = self.world.greenhouses[account].truth.get(application)
        if view is None:
            return
        match act.kind:
            case "address":
                self._address(account, application)
                self._tell(account, "update_candidate", {"candidate": {"id": view.candidate_id}})
            case "note":
                body = "Looks good. [ref tr-000000000000]"
                self.world.greenhouses[account].person_note(application, body, self.world.now())
            case "edit":
                self._tell_application(account, application, "application_updated")
            case "job":
                self.world.tell("{}: a person changes the job", account)
                self._tell(account, "job_updated", {"job": {"id": view.job_id}})
            case "stage":
                self._delete_stage(account)
            case "merge":
                self._merge(account, application)
            case "anonymize":
                self._anonymize(account, view.candidate_id)
            case "delete application" | "delete candidate":
                self._delete(account, application, act.kind)
            case _:
                self._change(account, application, act)

    def _change(self, account: AccountId, application: ApplicationId, act: Act) -> None:
        """Move, reject or hire it; what was rejected or hired is taken back first."""
        status = self.world.greenhouses[account].truth[application].status
        if status is ApplicationStatus.REJECTED:
            self._take_back(account, application, "unreject_candidate")
        elif status is ApplicationStatus.HIRED:
            self._take_back(account, application, "unhire_candidate")
        elif act.kind == "reject":
            self._end(account, application, ApplicationStatus.REJECTED, "reject_candidate")
        elif act.kind == "hire":
            self._end(account, application, ApplicationStatus.HIRED, "hire_candidate")
        else:
            self._move(account, application, act.stage)

    def _move(self, account: AccountId, application: ApplicationId, name: str) -> None:
        greenhouse = self.world.greenhouses[account]
        view, stage = greenhouse.truth[application], greenhouse.stage(name)
        if view.stage_id == stage or not all(item.active for item in greenhouse.plan if item.id == stage):
            return
        greenhouse.enter(application, stage)
        self._changed(account, application)
        self.world.tell("{}: a person moves {} to {}", account, application, name)
        self._tell_application(account, application, "candidate_stage_change")

    def _end(self, account: AccountId, application: ApplicationId, status: ApplicationStatus, action: str) -> None:
        self.world.greenhouses[account].end(application, status)
        self._changed(account, application)
        self.world.tell("{}: {} is {} by a person", account, application, status.value)
        self._tell_application(account, application, action)

    async def slip(self, account: AccountId, application: ApplicationId, *, seconds: float, late: float) -> None:
        """Reject it and take that back after *seconds*; told is the rejection alone, and so *late*."""
        greenhouse = self.world.greenhouses[account]
        before = greenhouse.truth[application]
        greenhouse.end(application, ApplicationStatus.REJECTED)
        self._changed(account, application)
        slipped = greenhouse.truth[application]
        self.world.tell("{}: {} is rejected by a slip", account, application)
        payload = webhooks.application_payload(slipped)
        told = webhooks.of_greenhouse(account, "reject_candidate", payload, self.world.uuid())
        self.world.webhooks += 1
        self.start(self._carry(told, late))
        await asyncio.sleep(seconds)
        view = greenhouse.truth.get(application)
        if view is not None and replace(view, candidate_id=slipped.candidate_id) == slipped:  # nobody else was at it
            greenhouse.truth[application] = replace(before, candidate_id=view.candidate_id)
            self._changed(account, application)
            self.world.tell("{}: the slip is taken back, {} stays where it is", account, application)

    def _take_back(self, account: AccountId, application: ApplicationId, action: str) -> None:
        greenhouse = self.world.greenhouses[account]
        greenhouse.truth[application] = replace(greenhouse.truth[application], status=ApplicationStatus.ACTIVE)
        greenhouse.enter(application, greenhouse.stage(CODING))
        self._changed(account, application)
        self.world.tell("{}: a person takes the end of {} back", account, application)
        self._tell_application(account, application, action)

    def _delete_stage(self, account: AccountId) -> None:
        greenhouse = self.world.greenhouses[account]
        spare = greenhouse.stage(SPARE)
        if any(view.stage_id == spare for view in greenhouse.truth.values()):
            return
        greenhouse.plan = [replace(item, active=item.active and item.id != spare) for item in greenhouse.plan]
        self.world.tell("{}: a person takes the stage {} out of the plan", account, SPARE)
        told = {"job_interview_stage": {"id": spare, "job_id": greenhouse.job}}
        self._tell(account, "job_interview_stage_deleted", told)

    # -- what happens to candidates

    def _address(self, account: AccountId, application: ApplicationId) -> None:
        greenhouse = self.world.greenhouses[account]
        address = f"p{self.draw.randrange(10**6)}+{application}@mail.example"
        candidate = greenhouse.people[greenhouse.truth[application].candidate_id]
        greenhouse.people[candidate.id] = replace(candidate, addresses=(Address(value=address, type="personal"),))
        self.world.addresses.setdefault((account, candidate.id), set()).add(address)
        if (account, candidate.id) in self.world.erased_by_hand:
            self._erase(account, candidate.id)
        self.world.tell("{}: {} has a new address", account, application)

    def _merge(self, account: AccountId, application: ApplicationId) -> None:
        greenhouse, world = self.world.greenhouses[account], self.world
        loser = greenhouse.truth[application].candidate_id
        winner = replace(greenhouse.people.pop(loser), id=CandidateId(greenhouse.fresh()))
        greenhouse.people[winner.id] = winner
        for ident, view in list(greenhouse.truth.items()):
            if view.candidate_id == loser:
                greenhouse.truth[ident] = replace(view, candidate_id=winner.id)
                world.merged.add((account, ident))
        world.merged_addresses |= {(account, address) for address in world.addresses.get((account, loser), ())}
        for note, owner in greenhouse.feeds.items():
            greenhouse.feeds[note] = winner.id if owner == loser else owner
        world.addresses[account, winner.id] = world.addresses.pop((account, loser), set())
        if (account, loser) in world.erased_by_hand:
            world.erased_by_hand.add((account, winner.id))
        world.tell("{}: candidate {} is merged into {}", account, loser, winner.id)
        self._tell(account, "merge_candidate", {"person": {"id": loser, "new_candidate_id": winner.id}})

    def _anonymize(self, account: AccountId, candidate: CandidateId) -> None:
        greenhouse = self.world.greenhouses[account]
        greenhouse.people[candidate] = replace(greenhouse.people[candidate], addresses=())
        self._erase(account, candidate)
        owned = [ident for ident, view in greenhouse.truth.items() if view.candidate_id == candidate]
        self.world.anonymized |= {(account, ident) for ident in owned}
        self.world.tell("{}: candidate {} is anonymised", account, candidate)
        told = {"candidate_id": candidate, "anonymized_fields": ["full_name", "email_addresses"]}
        self._tell(account, "candidate_anonymized", told)

    def _erase(self, account: AccountId, candidate: CandidateId) -> None:
        """Note for the oracle which addresses are to be nowhere in the end."""
        self.world.erased |= {(account, address) for address in self.world.addresses.pop((account, candidate), ())}

    def _delete(self, account: AccountId, application: ApplicationId, kind: str) -> None:
        greenhouse, world = self.world.greenhouses[account], self.world
        view = greenhouse.truth[application]
        gone = [application]
        if kind == "delete candidate":
            gone = [ident for ident, other in greenhouse.truth.items() if other.candidate_id == view.candidate_id]
            del greenhouse.people[view.candidate_id]
            self._erase(account, view.candidate_id)
        for ident in gone:
            del greenhouse.truth[ident]
            world.deleted.add((account, ident))
            world.changes[account, ident].append((world.loop.time(), None, False))
        world.tell("{}: a person deletes the {} of {}", account, kind.removeprefix("delete "), application)
        if kind == "delete candidate":
            told = {"person": {"id": view.candidate_id, "deleted_application_ids": gone}}
            self._tell(account, "delete_candidate", told)
        else:
            told = {"application": {"id": application, "candidate_id": view.candidate_id, "job_id": view.job_id}}
            self._tell(account, "delete_application", told)

    def merge(self, account: AccountId, application: ApplicationId) -> None:
        """Merge the application's candidate into another."""
        self.do(account, application, Act(after=0.0, kind="merge"))

    def anonymize(self, account: AccountId, application: ApplicationId) -> None:
        """Anonymise the application's candidate."""
        self.do(account, application, Act(after=0.0, kind="anonymize"))

    def erase_by_hand(self, account: AccountId, candidate: CandidateId) -> None:
        """Note for the oracle that nothing of the candidate may be left, nor of what comes later."""
        world = self.world
        self._erase(account, candidate)
        world.erased_by_hand.add((account, candidate))
        truth = world.greenhouses[account].truth
        world.anonymized |= {(account, ident) for ident, view in truth.items() if view.candidate_id == candidate}
        world.tell("{}: a person erases candidate {} by hand", account, candidate)

    # -- candidates

    def _invited(self, account: AccountId, address: str) -> None:
        if self.draw.random() < 0.85:
            self.start(self._candidate(account, address))

    def take_uninvited(self, account: AccountId, application: ApplicationId, score: int) -> None:
        """Let the candidate take the test under an address that nobody invited; a webhook tells of the end only."""
        world, coderbyte = self.world, self.world.coderbytes[account]
        address = f"q{len(world.uninvited)}+{application}@private.example"
        world.uninvited[account, world.keyring.address_hash(account, address)] = application
        coderbyte.switches["report.not_ready_reads"] = 0
        coderbyte.submit(address, TEST, final_score=score, code_score=score)
        world.tell("{}: {} takes the test uninvited, {} of 100", account, address, score)
        webhook = webhooks.of_coderbyte(account, "assessment_completed", address, TEST)
        self._post(webhook)

    async def _candidate(self, account: AccountId, address: str) -> None:
        world, coderbyte = self.world, self.world.coderbytes[account]
        longest = SOON_SECONDS if account == world.through_v1 else 40.0
        await asyncio.sleep(0.5 + self.draw.random() * longest)
        if any(attempt["email"] == address for attempt in coderbyte.attempts):
            return
        coderbyte._at = world.now() - timedelta(minutes=1)  # a joining is dated a minute later
        coderbyte.join(address, TEST)
        world.acted_at[account, address] = world.now()
        world.tell("{}: the candidate {} joins", account, address)
        self._signal(account, "candidate_joined", address)
        if world.chance(0.1, "candidate leaves"):
            return
        await asyncio.sleep(0.5 + self.draw.random() * longest)
        coderbyte.switches["report.not_ready_reads"] = self.draw.choice((0, 0, 1, 2))
        score = self.draw.choice((20, 55, 71, 90))
        attempt = coderbyte.submit(address, TEST, final_score=score, code_score=score)
        world.given_scores.setdefault((account, address), []).append((world.loop.time(), score))
        world.acted_at[account, address] = world.now()
        world.tell("{}: the candidate {} submits, {} of 100", account, address, score)
        self._signal(account, "assessment_completed", address)
        for _ in range(self.draw.choice((1, 2))):
            soon = self.draw.random() < 0.5
            await asyncio.sleep(self.draw.random() * 4.0 if soon else 20.0 + self.draw.random() * 30.0)
            if world.chance(0.5, "review"):
                self.review(account, address, attempt)

    def review(self, account: AccountId, address: str, attempt: dict[str, Any], *, at_once: bool = False) -> None:
        """Let a reviewer change the score; the webhooks of two reviews are equal, and *at_once* told without a delay."""
        score = self.draw.choice((30, 60, 80))
        attempt |= {"final_score": score, "code_score": score}
        self.world.given_scores.setdefault((account, address), []).append((self.world.loop.time(), score))
        self.world.acted_at[account, address] = self.world.now()
        self.world.tell("{}: a reviewer gives {} {} of 100", account, address, score)
        if at_once:
            self.start(self._carry(webhooks.of_coderbyte(account, "scorecard_updated", address, TEST), 0.0))
        if at_once or self._signal(account, "scorecard_updated", address):
            self.world.reviewed[account, address] = score
        else:
            self.world.reviewed.pop((account, address), None)

    # -- webhooks

    def _moved_by_us(self, account: AccountId, application: ApplicationId) -> None:
        self._changed(account, application)
        self._tell_application(account, application, "candidate_stage_change")

    def _changed(self, account: AccountId, application: ApplicationId) -> None:
        """Date the change as Greenhouse does, and note the truth for the oracle."""
        greenhouse, world = self.world.greenhouses[account], self.world
        view = replace(greenhouse.truth[application], last_activity_at=world.now(), updated_at=world.now())
        greenhouse.truth[application] = view
        is_active = view.status is ApplicationStatus.ACTIVE
        world.changes.setdefault((account, application), []).append((world.loop.time(), view.stage_id, is_active))

    def _tell_application(self, account: AccountId, application: ApplicationId, action: str) -> None:
        if account in self.world.untold or (self.world.reconciles and self.world.chance(0.2, "webhook lost")):
            self.world.tell("{}: {} of {} is never told", account, action, application)
            return
        self._tell(account, action, webhooks.application_payload(self.world.greenhouses[account].truth[application]))

    def _tell(self, account: AccountId, action: str, payload: dict[str, Any]) -> None:
        """Have Greenhouse tell of it: late, more than once, out of order, under another delivery's id."""
        world = self.world
        webhook = webhooks.of_greenhouse(account, action, payload, world.uuid())
        self._post(webhook)
        while world.chance(0.15, "webhook doubled"):
            again = webhook if self.draw.random() < 0.5 else replace(webhook, event=str(world.uuid()))
            self.start(self._carry(again, self.draw.random() * 40.0))

    def _signal(self, account: AccountId, operation: str, address: str) -> bool:
        """Have Coderbyte tell of it; return whether the webhook gets through."""
        if self.world.chance(0.2, "webhook lost"):
            return False
        webhook = webhooks.of_coderbyte(account, operation, address, TEST)
        self._post(webhook)
        if self.world.chance(0.15, "webhook doubled"):
            self.start(self._carry(webhook, self.draw.random() * 40.0))
        return True

    def _post(self, webhook: webhooks.Webhook) -> None:
        self.world.webhooks += 1
        is_late = self.world.may("webhook late")
        self.start(self._carry(webhook, self.draw.random() ** 3 * 20.0 if is_late else 0.05))

    async def _carry(self, webhook: webhooks.Webhook, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await webhooks.post(self.world, webhook)
