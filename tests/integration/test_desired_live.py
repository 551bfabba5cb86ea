"""A running agent under what the fleet desires: each setting makes it behave otherwise, and the file's come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.publish import decode, decode_batch
from agent.publish.contract import Detections, Perf
from tests.integration.test_outlets import P, ended, run_agent
from tests.servers.mosquitto import Mosquitto, Observer, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SEEING = {
    "detections.mode": "rate",
    "detections.interval_s": 0.2,
    "detections.appear_s": 0.1,
    "detections.hold_s": 0.1,
    "detections.min_frames": 1,
    "detections.classes": ["bolt", "nut", "gear"],
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop()


class Fleet:
    """Says what is desired, and looks at what comes of it."""

    def __init__(self, observer: Observer) -> None:
        self.observer, self.rev = observer, 0

    def want(self, phase: str = "applied", **config: Any) -> dict[str, Any]:
        """The board's word on a new revision."""
        self.rev += 1
        wish = {key.replace("__", "."): value for key, value in config.items()}
        self.observer.publish(f"{P}/desired", json.dumps({"rev": self.rev, "config": wish}).encode(), retain=True)
        assert wait_until(lambda: self.last("reported").get("rev_seen") == self.rev), self.last("reported")
        assert self.last("reported")["phase"] == phase, self.last("reported")
        return self.last("reported")

    def last(self, below: str) -> dict[str, Any]:
        said = [body for body in self.observer.on(f"{P}/{below}") if body]
        return json.loads(said[-1]) if said else {}

    def sees(self, is_so: Callable[[Detections], bool], many: int = 5) -> bool:
        """The next so many sightings that are known, from the first that is so on, are all so."""
        start = len(self.observer.on(f"{P}/d"))

        def found() -> bool:
            told = [decode(f"{P}/d", body) for body in self.observer.on(f"{P}/d")[start:]]
            known = [one for one in told if isinstance(one, Detections) and one.known]
            first = next((place for place, one in enumerate(known) if is_so(one)), len(known))
            return len(known) >= first + many and all(map(is_so, known[first:]))

        return wait_until(found, 60)


@pytest.mark.timeout(240)
def test_each_setting_is_in_force_at_once_and_the_files_come_back(tmp_path: Path, broker: Mosquitto) -> None:
    with Observer(broker.port) as observer:
        child = run_agent(tmp_path, broker.port, "[homeassistant]\nenabled = true\n")
        try:
            look_at(Fleet(observer))
        finally:
            errors = ended(child)
        assert "Traceback" not in errors


def look_at(fleet: Fleet) -> None:
    observer = fleet.observer
    assert wait_until(lambda: bool(fleet.last("birth")) and bool(fleet.last("reported")), 60)
    hashes = [fleet.last("birth")["config_sha256"]]

    def has_new_hash() -> bool:
        return wait_until(lambda: fleet.last("birth")["config_sha256"] not in hashes)

    assert not observer.on(f"{P}/d")
    fleet.want(**SEEING)
    assert fleet.sees(lambda one: set(one.counts or {}) == {"bolt", "nut", "gear"})
    assert has_new_hash()
    hashes.append(fleet.last("birth")["config_sha256"])

    fleet.want(**SEEING, model__score_threshold=1.0)
    assert fleet.sees(lambda one: not one.boxes and not any((one.counts or {}).values()))
    assert has_new_hash()
    fleet.want(**SEEING, model__classes=["gear"], model__class_thresholds={"gear": 0.3})
    assert fleet.sees(lambda one: all(box.label == "gear" for box in one.boxes or ()))
    word = fleet.want("failed", **SEEING, model__classes=["unicorn"], mqtt__health_s=9.0)
    assert (word["error"]["code"], word["config"]["model.classes"]) == ("bad-config", ["gear"])
    assert "mqtt.health_s" not in word["config"], "all of it or nothing"

    count = len(observer.on(f"{P}/m/perf"))
    assert not count, "the file says normal"
    fleet.want(mqtt__profile="live", mqtt__resolution_s=0.0)
    assert wait_until(lambda: len(observer.on(f"{P}/m/perf")) > 2, 60)
    perf = decode(f"{P}/m/perf", observer.on(f"{P}/m/perf")[-1])
    assert isinstance(perf, Perf)
    assert perf.window_s < 2.0
    batches = [decode_batch(f"{P}/mb", body) for body in observer.on(f"{P}/mb")]
    assert len(batches) < 3, "and no batches beside them"
    assert wait_until(lambda: not decode(f"{P}/d", observer.on(f"{P}/d")[-1]).known)  # type: ignore[union-attr]
    assert "switched off" in fleet.last("d")["reason"]

    fleet.want(camera__black_luma=255.0, camera__black_s=0.3)
    assert wait_until(lambda: "black" in fleet.last("state").get("reason", ""))
    assert fleet.last("state")["state"] == "degraded"
    fleet.want(camera__black_s=0.0, homeassistant__snapshot_s=5.0)
    assert wait_until(lambda: fleet.last("state")["state"] == "online")
    assert wait_until(lambda: bool(observer.on(f"{P}/image")), 60)

    acts = {"governor__mode": "act", "governor__target_celsius": 30.0, "governor__tolerance": 0.0}
    fleet.want(**acts, measure__sensors_s=0.5, mqtt__profile="live", measure__p99_limit_s=0.000001)
    assert wait_until(lambda: fleet.last("e/paced").get("data", {}).get("acted") is True, 30)
    assert wait_until(lambda: "p99 of the work" in fleet.last("a/latency").get("message", ""), 30)

    observer.publish(f"{P}/desired", b"", retain=True)
    assert wait_until(lambda: fleet.last("reported")["phase"] == "idle")
    assert wait_until(lambda: fleet.last("birth")["config_sha256"] == hashes[0])
    assert fleet.last("reported").get("config", {}) == {}
