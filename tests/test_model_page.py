"""The page for users: its examples load, and what it quotes is what the agent says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config import parse, settings
from agent.model import anchors
from agent.records import Heads
from tests.models import EXAMPLES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "models.md").read_text()


def test_the_example_is_a_configuration() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    heads = parse(text).model.heads
    assert heads is not None
    assert len(anchors(heads)) == 19 * 19 * 3 + 10 * 10 * 3


def test_the_defaults_are_those_of_the_record() -> None:
    usual = Heads(maps=parse(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]).model.heads.maps)  # type: ignore[union-attr]
    said = f"`{usual.box_order}`,\n`{list(usual.variances)}`, `{usual.score_activation}` and no background"
    assert said in PAGE
    assert not usual.background


@pytest.mark.parametrize("name", ["face_mask", "rfb320"])
def test_the_example_files_are_there_and_linked(name: str) -> None:
    assert f"(examples/{name}.toml)" in PAGE
    config = parse((EXAMPLES / f"{name}.toml").read_text())
    assert config.model.heads is not None
    assert (EXAMPLES / f"{name}.txt").exists()


def test_every_quoted_refusal_is_in_the_code() -> None:
    code = "".join(path.read_text() for path in (ROOT / "agent").rglob("*.py"))
    spoken = re.sub(r'"\s*\n\s*f?"', "", code)  # sentences go over several lines
    _, _, table = PAGE.partition("## Refusals")
    quoted = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(quoted) > 15
    for sentence in quoted:
        assert sentence.replace("libedgetpu.so.1 is", "{library} is").strip() in spoken, sentence


def test_every_setting_that_it_names_is_one() -> None:
    known = {row.key for row in settings()}
    for key in re.findall(r"`((?:model|runtime)\.(?!tflite)[a-z_]+)", PAGE):
        assert key in known or key == "model.heads", key
