"""A real browser for what people look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.conftest import missing

# Without them Chromium speaks to its maker's hosts at every start.
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu")


@contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a screen, 1280 pixels wide; its profile lies in ``folder``."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        missing("no chromium and chromedriver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(program)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    switches = ["headless=new", "no-first-run", "window-size=1280,1000", f"user-data-dir={folder}/profile"]
    switches += [f"disable-{name}" for name in QUIET]
    if os.geteuid() == 0:
        switches.append("no-sandbox")
    for switch in switches:
        options.add_argument(f"--{switch}")
    window = webdriver.Chrome(options=options, service=Service(str(driver)))
    try:
        yield window
    finally:
        window.quit()
