"""The manual's page of published results lists what is run, and what is not."""

from __future__ import annotations

import re
from pathlib import Path

from published import SHARED

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "published-results.md"


def test_the_manual_lists_what_is_run_and_what_is_not():
    page = PAGE.read_text(encoding="utf-8")
    same, without = (set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", part)) for part in page.split("## Not run"))
    run = set()
    for path in HERE.glob("test_*.py"):
        run |= set(re.findall(r'golden\("([a-z0-9-]+)"\)', path.read_text(encoding="utf-8")))
    assert run <= same
    assert not run & without
    published = {path.stem for path in (SHARED / "golden").glob("*.json")}
    assert published <= same | without
