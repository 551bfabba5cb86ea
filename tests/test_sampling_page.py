"""docs/sampling.md: its settings, shares and commands are those of the agent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

from agent.cli.samples import samples_app
from agent.config import SampleConfig
from agent.sample import REASONS, Privacy
from agent.sample.likeness import REMEMBERED
from agent.sample.retention import SHARES
from agent.samples.sheet import MOST

PAGE = (Path(__file__).parent.parent / "docs" / "sampling.md").read_text()


def test_every_setting_is_spoken_of() -> None:
    ours = set(SampleConfig.__struct_fields__) - {"picture_quality"}
    named = set(re.findall(r"`(?:sample\.)?([a-z]+(?:_[a-z]+)*)`", PAGE))
    assert ours <= named | {"privacy"}, ours - named


def test_every_policy_and_reason_has_its_row() -> None:
    for name in (*get_args(get_type_hints(Privacy)["mode"]), *REASONS):
        assert re.search(rf"\n\| `{name}`( \(default\))? \|", PAGE), name


def test_shares_and_counts_are_those_of_the_code() -> None:
    told = ", ".join(f"{reason} {share}" for reason, share in SHARES.items())
    text = " ".join(PAGE.split())
    assert f"({told} parts of {sum(SHARES.values())})" in text
    assert f"one of the {REMEMBERED} kept last" in text
    assert f"of the newest {MOST}" in text


def test_the_commands_are_those_of_the_command_line() -> None:
    known = {
        command.name or str(getattr(command.callback, "__name__", "")) for command in samples_app.registered_commands
    }
    assert set(re.findall(r"edge-agent samples (\w+)", PAGE)) == known
