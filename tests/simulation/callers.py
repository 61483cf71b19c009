"""A simulation of people who call each other, with an oracle that reads nothing but the log."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, Final

import msgspec
from simulation.oracle import Broken, Log
from simulation.people import ALLOWED
from simulation.simulator import Simulation

from utd_engine.adapters.memory.media_rooms import JoinRefused, MemoryParticipant
from utd_engine.app.naming import sfu_name
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join
from utd_engine.ports.rooms import Key
from utd_protocol import events as ev
from utd_protocol.answers import CallRecord
from utd_protocol.codec import decode_event
from utd_protocol.types import CallStatus, RoomType
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import CallView

CALLS: Final = "/api/v1/calls"
PEOPLE: Final = ("ana", "bo", "cy")
DEVICES: Final = ("phone", "tablet")
WORDS: Final = ("ringing", "accept", "accept", "accept", "reject", "busy", "ignore", "end")
ENDS: Final = {
    CallStatus.MISSED: "call.missed",
    CallStatus.REJECTED: "call.rejected",
    CallStatus.BUSY: "call.busy",
    CallStatus.ENDED: "call.ended",
}
EVERYTHING: Final = 1_000_000


class Phone:
    """One device of somebody, with every token that it was ever given."""

    def __init__(self, identity: str, device: str) -> None:
        self.identity = identity
        self.device = device
        self.bearer: str | None = None
        self.tokens: list[str] = []
        self.participant: MemoryParticipant | None = None


class CallSimulation(Simulation):
    """Three people with two devices each, and somebody who is never called and tries to get in."""

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(seed, **options)
        self._people = []
        self._dice = random.Random(seed + 1)  # noqa: S311
        self._phones = [Phone(who, device) for who in PEOPLE for device in DEVICES]
        self._phones.append(Phone("eve", "phone"))
        self._known: list[str] = []
        self._winners: dict[str, set[str]] = defaultdict(set)
        self._begun: dict[str, set[str]] = defaultdict(set)

    async def _open(self) -> None:
        """Nobody is in a room before somebody calls."""

    # --- what people do --------------------------------------------------------------------------

    def _something(self) -> Coroutine[Any, Any, None]:
        phone, roll = self._dice.choice(self._phones), self._dice.random()
        self.history.append(f"{phone.identity}/{phone.device} {roll:.3f}")
        if phone.bearer is None:
            return self._session(phone)
        if phone.identity == "eve" and roll < 0.5:
            return self._steal(phone)
        if roll < 0.25 or not self._known:
            return self._call(phone)
        if roll < 0.55:
            return self._say(phone)
        return self._move(phone)

    async def _session(self, phone: Phone) -> None:
        body = {"identity": phone.identity, "device_id": phone.device}
        answer = await self.engine.call("POST", "/api/v1/auth/session", body, app_key=True)
        assert answer.status in ALLOWED, answer
        if answer.status == 200:
            phone.bearer = answer.json()["user_token"]

    async def _call(self, phone: Phone) -> None:
        key = f"key {self._dice.randrange(EVERYTHING)}" if self._dice.random() < 0.5 else ""
        callee = self._dice.choice(PEOPLE)
        times = self._dice.choice((1, 1, 2)) if key else 1
        self.history.append(f"{phone.identity} calls {callee} {key} x{times}")
        await asyncio.gather(*(self._start_call(phone, callee, key) for _ in range(times)))

    async def _start_call(self, phone: Phone, callee: str, key: str) -> None:
        body = {"callee_identity": callee, "type": "video_call"}
        headers = {"idempotency-key": key} if key else {}
        answer = await self.engine.call("POST", CALLS, body, bearer=phone.bearer, headers=headers)
        assert answer.status in ALLOWED, answer
        if answer.status != 200:
            return
        call_id = answer.json()["call_id"]
        self._known = [*self._known[-4:], call_id]
        if "token" in answer.json():
            phone.tokens.append(answer.json()["token"])
        if key:
            self._begun[key].add(call_id)

    async def _say(self, phone: Phone) -> None:
        call_id, word = self._dice.choice(self._known[-2:]), self._dice.choice(WORDS)
        self.history.append(f"{phone.identity}/{phone.device} {word} {call_id}")
        answer = await self.engine.call(
            "POST", f"{CALLS}/{call_id}/{word}", {}, bearer=phone.bearer
        )
        assert answer.status in ALLOWED, answer
        if phone.identity == "eve" and answer.status not in {404, 503}:
            party = (await self.oracle.read(Key(self.engine.app_id, "room", call_id))).views[0].call
            if party is not None and "eve" not in {party.caller, party.callee}:
                raise Broken(f"C5 eve may {word} in a call of others: {answer.status}")
        if answer.status == 200 and word == "accept":
            self._winners[call_id].add(phone.device)
            phone.tokens.append(answer.json()["token"])

    async def _move(self, phone: Phone) -> None:
        """In and out of LiveKit, with a token of now or of before."""
        one = phone.participant
        if one is not None and not one.disconnected and self._dice.random() < 0.6:
            if self._dice.random() < 0.4:
                async with self._sfu.full_reconnect(one):
                    await self._clock.sleep(self._dice.choice((0.05, 0.3)))
            else:
                await self._sfu.leave(one, crash=self._dice.random() < 0.5)
        elif phone.tokens:
            with contextlib.suppress(JoinRefused):
                phone.participant = await self._sfu.join(self._dice.choice(phone.tokens[-2:]))

    async def _steal(self, phone: Phone) -> None:
        if not self._known:
            return
        room = sfu_name(Key(self.engine.app_id, "room", self._known[-1]), RoomType.VIDEO_CALL)
        join = Join(room=room, identity="eve", permission=Permission(can_subscribe=True))
        token = self._sfu.mint_token(join, now=self._clock.now(), ttl_s=600)
        with contextlib.suppress(JoinRefused):
            phone.participant = await self._sfu.join(token)

    # --- what must hold --------------------------------------------------------------------------

    async def _check(self) -> None:
        rows = await self._store.log(self.engine.app_id, 0, EVERYTHING)
        for row in rows:
            self.oracle.logs.setdefault(row.key, Log())
        await self.oracle.check()
        await self._one_live_call_each()
        for call_id, devices in self._winners.items():
            if len(devices) > 1:
                raise Broken(f"C2 {call_id}: answered by {devices}")
        for key, calls in self._begun.items():
            if len(calls) > 1:
                raise Broken(f"C3 {key} began {calls}")
        await self._letters([(row.key.id, decode_event(row.data)) for row in rows])
        await self._records()

    def _calls(self) -> dict[Key, CallView]:
        found = {}
        for key, log in self.oracle.logs.items():
            call = log.views[-1].call
            assert call is not None
            if (log.views[-1].state is Phase.ENDED) != (call.ended_at is not None):
                raise Broken(f"C1 {key.id}: the call and its room do not end together")
            found[key] = call
        return found

    async def _one_live_call_each(self) -> None:
        live: dict[str, set[Key]] = defaultdict(set)
        for key, call in self._calls().items():
            if call.ended_at is None:
                live[call.caller].add(key)
                live[call.callee].add(key)
        for who in (*PEOPLE, "eve"):
            holder = await self._store.resolve(self.engine.app_id, f"user:{who}")
            if live[who] != ({holder} if holder else set()):
                raise Broken(f"C1 {who} is in {live[who]}, and the name is of {holder}")

    async def _letters(self, events: list[tuple[str, Any]]) -> None:
        """Every fact was told to whom it concerns, once, in order."""
        parties: dict[str, tuple[str, str]] = {}
        told: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for call_id, event in events:
            match event:
                case ev.RoomOpened(call=ev.CallOffer() as offer):
                    parties[call_id] = (event.owner, offer.callee)
                    to = [(offer.callee, "call.incoming")] if offer.rings_until else []
                case ev.CallRinging():
                    to = [(parties[call_id][0], "call.ringing")]
                case ev.CallAccepted():
                    to = [(who, "call.answered") for who in parties[call_id]]
                case ev.CallEnded():
                    to = [(who, ENDS[event.status]) for who in parties[call_id]]
                case _:
                    to = []
            for who, kind in to:
                told[who].append((call_id, kind))
        for who in PEOPLE:
            inbox = Key(self.engine.app_id, "inbox", who)
            rows = await self._store.events(inbox, 0, EVERYTHING)
            if [row.seq for row in rows] != list(range(1, len(rows) + 1)):
                raise Broken(f"C4 the inbox of {who} has a gap")
            found = [(msgspec.json.decode(row.data)["call_id"], row.type) for row in rows]
            if found != told[who]:
                raise Broken(f"C4 {who} was told {found[-5:]}, not {told[who][-5:]}")

    async def _records(self) -> None:
        calls = {key.id: call for key, call in self._calls().items()}
        for who in (*PEOPLE, "eve"):
            rows = await self._store.history(self.engine.app_id, who, limit=EVERYTHING)
            records = [msgspec.json.decode(row.data, type=CallRecord) for row in rows]
            mine = {one for one, call in calls.items() if who in {call.caller, call.callee}}
            if {one.call_id for one in records} != mine:
                raise Broken(f"C6 {who} has records of other calls than theirs")
            for one in records:
                if one.call != calls[one.call_id]:
                    raise Broken(f"C6 the record of {one.call_id} is not how it is")

    async def _heal(self) -> None:
        await super()._heal()
        await self._clock.advance(200)
        await self._check()
        for key, call in self._calls().items():
            if call.ended_at is not None:
                continue
            here = set(self._sfu.rooms[sfu_name(key, RoomType.VIDEO_CALL)].members)
            if call.status is not CallStatus.ACTIVE or here != {call.caller, call.callee}:
                raise Broken(f"C7 {key.id} goes on as {call.status} with {here}")
