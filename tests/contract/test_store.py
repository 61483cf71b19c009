"""Every store keeps the contract, and any history reads the same from all of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_contract import StoreContract

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.ports.store import Store


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
