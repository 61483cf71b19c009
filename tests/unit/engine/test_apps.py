"""Apps and keys: made, found by their digest, revoked at once, remembered for a moment only."""

import hashlib

import pytest
from support.faulty_store import FaultyStore

from utd_engine.app.apps import CACHE_S, Apps, AppSettings
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import Preset
from utd_engine.testing import FakeClock, FakeIds
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import RoomType


class World:
    def __init__(self) -> None:
        self.store = FaultyStore()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.apps = Apps(self.store, self.clock, self.ids)


async def refused(apps: Apps, app_id: str, key: str) -> str:
    with pytest.raises(Refused) as refusal:
        await apps.by_publishable(app_id, key)
    return refusal.value.code


async def test_a_new_app_has_a_key_of_each_kind_that_opens_it() -> None:
    apps = World().apps
    tenant, publishable, secret = await apps.create("My app", "production")
    assert await apps.by_publishable(tenant.app_id, publishable.key) == tenant
    assert await apps.by_secret(secret.key) == tenant
    assert (publishable.key[:3], secret.key[:3]) == ("pk_", "sk_")
    assert tenant.app_id.isalnum()
    assert len(tenant.app_id) <= 14
    assert [one.app_id for one in await apps.all()] == [tenant.app_id]


async def test_keys_are_kept_as_their_hash_only() -> None:
    world = World()
    tenant, publishable, secret = await world.apps.create("x", "production")
    rows = await world.apps.keys(tenant.app_id)
    assert {row.digest for row in rows} == {
        hashlib.sha256(key.encode()).digest() for key in (publishable.key, secret.key)
    }
    assert publishable.key not in repr(rows)
    assert secret.key not in repr(rows)
    assert all(len(row.prefix) == 11 for row in rows)


async def test_no_key_opens_what_it_is_not_for() -> None:
    apps = World().apps
    one, one_pk, one_sk = await apps.create("one", "production")
    two, two_pk, _ = await apps.create("two", "production")
    for app_id, key in [
        (one.app_id, two_pk.key),
        (two.app_id, one_pk.key),
        (one.app_id, one_sk.key),
        ("nobody", one_pk.key),
        (one.app_id, ""),
        (one.app_id, one_pk.key + "x"),
        (one.app_id, "pk_é\udcff"),
    ]:
        assert await refused(apps, app_id, key) == "token_invalid"
    for key in (one_pk.key, "sk_nothing", ""):
        with pytest.raises(Refused):
            await apps.by_secret(key)


async def test_two_live_keys_then_the_old_one_is_revoked_at_once() -> None:
    apps = World().apps
    tenant, _, first = await apps.create("x", "production")
    second = await apps.add_key(tenant.app_id, "secret")
    assert [(await apps.by_secret(key.key)).app_id for key in (first, second)] == (
        [tenant.app_id] * 2
    )
    assert await apps.revoke_key(tenant.app_id, first.prefix)
    with pytest.raises(Refused):
        await apps.by_secret(first.key)
    assert (await apps.by_secret(second.key)).app_id == tenant.app_id
    rows = {row.prefix: row.revoked_at for row in await apps.keys(tenant.app_id)}
    assert rows[first.prefix] is not None
    assert rows[second.prefix] is None
    assert not await apps.revoke_key(tenant.app_id, "sk_unknown")


async def test_what_was_found_is_remembered_for_a_moment() -> None:
    world = World()
    tenant, _, secret = await world.apps.create("x", "production")
    elsewhere = Apps(world.store, world.clock, world.ids)
    for _ in range(10):
        await elsewhere.by_secret(secret.key)
    assert world.store.calls["key_by_digest"] == 1
    await world.apps.revoke_key(tenant.app_id, secret.prefix)
    assert (await elsewhere.by_secret(secret.key)).app_id == tenant.app_id
    await world.clock.advance(CACHE_S)
    with pytest.raises(Refused):
        await elsewhere.by_secret(secret.key)


async def test_unknown_keys_are_not_remembered() -> None:
    world = World()
    for number in range(100):
        with pytest.raises(Refused):
            await world.apps.by_secret(f"sk_{number}")
        assert await world.apps.get(f"app {number}") is None
    assert not world.apps._keys
    assert not world.apps._tenants


@pytest.mark.parametrize("app_id", ["a b", "a.b", "a/b", "é", "x" * 65, "a\n", "a:b"])
async def test_an_id_that_would_not_do(app_id: str) -> None:
    with pytest.raises(Refused) as refusal:
        await World().apps.create("x", "production", app_id=app_id)
    assert (refusal.value.code, refusal.value.context["field"]) == ("invalid_request", "app_id")


async def test_an_id_is_taken_once() -> None:
    apps = World().apps
    first, *_ = await apps.create("first", "production", app_id="shop")
    with pytest.raises(Refused) as refusal:
        await apps.create("second", "development", app_id="shop")
    assert refusal.value.context["field"] == "app_id"
    assert await apps.get("shop") == first


async def test_an_app_changes_mode_and_settings_apart() -> None:
    apps = World().apps
    settings = AppSettings(policy=PolicyPatch(seat_hold_s=5))
    tenant, *_ = await apps.create("x", "development", settings)
    changed = await apps.update(tenant.app_id, mode="production")
    assert (changed.mode, changed.settings) == ("production", settings)
    again = await apps.update(tenant.app_id, settings=AppSettings())
    assert (again.mode, again.settings) == ("production", AppSettings())
    assert await apps.get(tenant.app_id) == again


@pytest.mark.parametrize("act", ["update", "add_key", "keys"])
async def test_an_unknown_app_is_not_found(act: str) -> None:
    apps = World().apps
    calls = {
        "update": lambda: apps.update("nobody", mode="production"),
        "add_key": lambda: apps.add_key("nobody", "secret"),
        "keys": lambda: apps.keys("nobody"),
    }
    with pytest.raises(Refused) as refusal:
        await calls[act]()
    assert refusal.value.code == "not_found"


async def test_policies_of_app_and_type_come_one_over_the_other() -> None:
    settings = AppSettings(
        policy=PolicyPatch(seat_hold_s=5, invite_ttl_s=7),
        policies={RoomType.AUDIO_ROOM: PolicyPatch(seat_hold_s=9)},
        presets={"stage": Preset(count=2)},
    )
    tenant, *_ = await World().apps.create("x", "production", settings)
    audio, video = tenant.policy(RoomType.AUDIO_ROOM), tenant.policy(RoomType.LIVE_STREAM)
    assert (audio.seat_hold_s, audio.invite_ttl_s) == (9, 7)
    assert (video.seat_hold_s, video.invite_ttl_s) == (5, 7)
    assert tenant.settings.presets["stage"].count == 2
