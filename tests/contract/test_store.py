"""Every store keeps the contract, and any history reads the same from all of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_contract import StoreContract

from utd_engine.app.ports import Store
from utd_engine.store.memory import MemoryStore
from utd_engine.store.sqlite import SqliteStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        yield store
        await store.aclose()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = await SqliteStore.open(tmp_path / "utd.db")
        yield store
        await store.aclose()
