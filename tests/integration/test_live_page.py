"""The live page in a real browser: numbers, a picture with boxes, plots, alarms; and what must not happen in it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browsers import chromium
from tests.servers.mosquitto import Mosquitto
from tests.test_demo import Demo
from tools.fleet.collector import Collector
from tools.fleet.server import make_app
from tools.fleet.web import listen, serving

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PICTURE = Path(__file__).parent.parent.parent / "build" / "live-page.png"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path) as window:
        yield window


def figures(browser: webdriver.Chrome) -> dict[str, str]:
    terms = browser.find_elements(By.CSS_SELECTOR, "#figures dt")
    values = browser.find_elements(By.CSS_SELECTOR, "#figures dd")
    return {term.text: value.text for term, value in zip(terms, values, strict=True)}


def test_the_demo_is_alive_on_its_page(tmp_path: Path, browser: webdriver.Chrome) -> None:
    demo = Demo(tmp_path)
    try:
        browser.get(demo.page)
        wait = WebDriverWait(browser, 60, ignored_exceptions=[Exception])
        wait.until(lambda _: float(figures(browser)["frames a second"]) > 1)
        wait.until(lambda _: browser.find_element(By.ID, "sees").text.startswith("sees "))
        first = browser.find_element(By.ID, "frame").get_attribute("src")
        wait.until(lambda _: browser.find_element(By.ID, "frame").get_attribute("src") != first)
        wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, "#latency canvas")) == 1)
        time.sleep(4)
        shown = wait.until(lambda _: figures(browser))  # drawn anew meanwhile, it is asked again
        assert float(shown["objects a frame"]) > 2
        assert shown["latency p99"].endswith(" ms")
        assert shown["memory"].endswith(" MiB")
        assert shown["temperature"]
        assert browser.find_element(By.ID, "state").text == "online"
        size = browser.execute_script(
            "const i = document.getElementById('frame'); return [i.naturalWidth, i.naturalHeight]"
        )
        assert size == [640, 480]
        PICTURE.parent.mkdir(exist_ok=True)
        browser.save_screenshot(str(PICTURE))
        # Before the first frame there is none to show, and the answer is 503.
        faults = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        assert [line for line in faults if line["source"] != "network"] == []
    finally:
        ended = demo.end(signal.SIGINT)
    assert ended == 0, "also while a page listens"
    assert "Traceback" not in demo.rest()


def test_what_a_board_says_is_text_and_a_lost_server_is_told(tmp_path: Path, browser: webdriver.Chrome) -> None:
    broker = Mosquitto(tmp_path / "broker").start()
    evil = "<img src=x onerror=document.title='owned'>"
    envelope = {"v": 1, "id": "cam1", "boot": "b", "conn": 1, "seq": 1, "ts": 1.0, "clk": "ok"}
    with ExitStack() as started:
        started.callback(broker.stop)
        collector = Collector("127.0.0.1", broker.port)
        collector.start()
        started.callback(collector.stop)
        page = started.enter_context(ExitStack())
        address = page.enter_context(serving(make_app(collector), listen(None)))
        browser.get(address)
        board = mqtt.Client(CallbackAPIVersion.VERSION2)
        board.connect("127.0.0.1", broker.port)
        board.loop_start()
        for topic, fields in (
            ("state", {"state": "degraded", "reason": evil}),
            ("a/camera", {"alarm": "camera", "message": evil}),
        ):
            board.publish(f"edge/v1/home/cam1/{topic}", json.dumps({**envelope, **fields}), qos=1)
        wait = WebDriverWait(browser, 60, ignored_exceptions=[Exception])
        wait.until(lambda _: evil in browser.find_element(By.ID, "alarms").text)
        assert browser.find_element(By.ID, "state").text == "degraded"
        assert browser.title == "edge-agent fleet"
        wait.until(lambda _: browser.find_element(By.ID, "sees").text == "the board does not answer")
        board.publish("edge/v1/home/cam1/a/camera", b"", qos=1)
        wait.until(lambda _: browser.find_element(By.ID, "alarms").text == "")
        board.loop_stop()
        page.close()
        wait.until(lambda _: browser.find_element(By.ID, "link").text == "no connection")
        assert "What is shown is old" in browser.find_element(By.ID, "sees").text
        assert "stale" in str(browser.find_element(By.TAG_NAME, "body").get_attribute("class"))
