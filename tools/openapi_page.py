"""Writes docs/reference/openapi.json from the engine's route table.

    python tools/openapi_page.py

The file is kept in the repository so that a change of the wire is a line in a review.
"""

import json
from pathlib import Path
from typing import Final

from utd_engine.http.openapi import openapi
from utd_engine.http.routes import ROUTES

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs/reference/openapi.json"


def page() -> str:
    """The document, indented."""
    return json.dumps(json.loads(openapi(ROUTES)), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write it."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} is up to date")


if __name__ == "__main__":
    main()
