"""The page of results in a real browser, on a telephone and on a desk: nothing lies over anything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from agent.bench import Plan, Result
from tests.bench_fakes import make_run
from tests.browsers import chromium
from tests.test_tools_report import soak
from tools.report import page

pytestmark = pytest.mark.slow

PICTURES = Path(__file__).parent.parent.parent / "build"

MEASURE = """
const box = one => { const b = one.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
return {
  page: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
  figures: [...document.querySelectorAll('figure')].map(f => ({
    legend: box(f.querySelector('.legend')), chart: box(f.querySelector('svg')), frame: box(f),
    keys: [...f.querySelectorAll('.key')].map(k => k.getClientRects().length),
  })),
  first: box(document.querySelector('.overview td:nth-child(4)')),
};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as window:
        yield window


def results() -> list[tuple[str, Result]]:
    quick = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    other = make_run(Plan(warmup_s=0.0), lambda _: 0.012).go()
    return [("bench-20261121-101500.json", quick), ("after.json", other), ("soak.json", soak())]


def measured(browser: webdriver.Chrome, path: Path, width: int) -> dict[str, Any]:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get(path.as_uri())
    PICTURES.mkdir(exist_ok=True)
    browser.save_screenshot(str(PICTURES / f"report-{width}.png"))
    found: dict[str, Any] = browser.execute_script(MEASURE)
    return found


@pytest.mark.parametrize("width", [400, 1280])
def test_charts_keep_their_width_and_legends_stay_out_of_them(
    width: int, tmp_path: Path, browser: webdriver.Chrome
) -> None:
    (tmp_path / "report.html").write_text(page(results()))
    found = measured(browser, tmp_path / "report.html", width)
    assert found["page"][0] <= found["page"][1], "what is wide scrolls by itself, not the page"
    assert len(found["figures"]) == 18
    for figure in found["figures"]:
        left, _, right, _ = figure["chart"]
        assert right - left >= 640
        assert figure["legend"][3] <= figure["chart"][1]
        assert figure["legend"][2] <= figure["frame"][2]
        assert set(figure["keys"]) <= {1}, "no word of a legend is broken"
    assert found["first"][2] <= width, "figures are seen without scrolling"
