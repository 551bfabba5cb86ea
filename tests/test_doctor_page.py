"""The pages of doctor, Coral and parity name what the code does."""

from __future__ import annotations

import re

from agent.config import ParityConfig
from agent.doctor import CHECKS
from agent.parity.record import Comparison
from agent.parity.sample import DEFAULT
from tools.doctor_page import page
from tools.reference import DOCS

TRAPS = {trap.id: trap for check in CHECKS for trap in check.traps}


def test_every_check_and_every_trap_has_its_place_on_the_page() -> None:
    text = page()
    for check in CHECKS:
        assert f"### {check.title} (`{check.id}`)" in text
    for trap in TRAPS.values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{trap.id}` |"))
        assert trap.severity in row
        assert row.replace("\\|", "").count("|") == 6


def test_the_coral_page_names_only_findings_that_there_are() -> None:
    named = set(re.findall(r"`((?:coral|delegate)-[a-z0-9-]+)`", (DOCS / "coral.md").read_text()))
    assert named <= set(TRAPS)
    assert named >= {"coral-no-library", "coral-old-library", "coral-closed", "delegate-crashes", "delegate-hangs"}


def test_the_parity_page_has_the_defaults_and_the_codes() -> None:
    text = (DOCS / "parity.md").read_text()
    assert f"({DEFAULT.lone_share:g} of\n  all boxes)" in text
    assert f"({DEFAULT.iou:g} in the mean)" in text
    assert f"({DEFAULT.score:g} in the mean)" in text
    assert ParityConfig().every_s == 0.0, "off by default, as the page says"
    assert "threads-lose-class" in text
    assert "threads-lose-class" in TRAPS
    assert Comparison.__doc__
