"""The generated pages are those of this code."""

from pathlib import Path

import pytest

from agent.camera.rendered import RANGES
from agent.camera.rendered.script import PRESETS
from agent.config import settings
from tools import knobs_page
from tools.reference import DOCS, PACKAGE, main, settings_page


def test_the_pages_in_docs_are_fresh() -> None:
    assert main(["--check"]) == 0, "a generated page is stale: run `make docs`"


def test_every_setting_has_its_row_with_a_sentence() -> None:
    page = settings_page()
    for row in settings():
        assert row.description, row.key
        cells = [line for line in page.splitlines() if line.startswith(f"| `{row.key.rpartition('.')[2]}` |")]
        assert any(row.description.replace("|", "\\|") in line for line in cells), row.key


def test_every_knob_and_every_drift_has_its_row() -> None:
    page = knobs_page.page()
    for name in (*RANGES, *PRESETS):
        assert f"\n| `{name}` | " in page
    assert all(row.count("|") in {3, 4, 6} for row in page.splitlines() if row.startswith("|"))
    assert "| `light` | 0 | 2.5 | 1 | of the scene, 1.0 is day" in page


def test_every_row_has_as_many_cells_as_the_head() -> None:
    rows = [line.replace("\\|", "") for line in settings_page().splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {6}


def test_a_stale_page_is_told_and_then_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "settings.md"
    assert main(["--check", "--docs", str(tmp_path)]) == 1
    assert "settings.md: is stale" in capsys.readouterr().out
    assert not page.exists()
    assert main(["--docs", str(tmp_path)]) == 0
    assert page.read_text() == (DOCS / "settings.md").read_text()
    page.write_text(page.read_text() + "more\n")
    assert main(["--check", "--docs", str(tmp_path)]) == 1
    assert main(["--docs", str(tmp_path)]) == 0
    assert main(["--check", "--docs", str(tmp_path)]) == 0


def test_what_is_shipped_is_made_anew_as_well(tmp_path: Path) -> None:
    shipped = tmp_path / "asyncapi.json"
    assert main(["--check", "--package", str(tmp_path)]) == 1
    assert main(["--package", str(tmp_path)]) == 0
    assert shipped.read_text() == (PACKAGE / "asyncapi.json").read_text()
