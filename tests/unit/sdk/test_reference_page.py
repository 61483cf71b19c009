import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools/sdk_page.py"


@pytest.fixture(scope="module")
def sdk_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sdk_page", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_page_is_what_the_docstrings_say(sdk_page: ModuleType) -> None:
    written = (ROOT / "docs/reference/sdk.md").read_text(encoding="utf-8")

    assert written == sdk_page.page(), "stale: run `python tools/sdk_page.py`"


def test_members_of_bases_that_only_split_a_class_are_its_own(sdk_page: ModuleType) -> None:
    client = sdk_page.page().partition("\n## `UTDStreamClient`")[2].partition("\n## ")[0]

    assert "`await authenticate(" in client
    assert "`await join_audio_room(" in client
    assert "PersonalClient" not in client
