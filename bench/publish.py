"""Publishing: what it costs the inference loop, how many messages a second, and their CPU beside a bare paho loop.

python -m bench publish [--messages 5000] [--blocks 5]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.config import Config, MqttConfig
from agent.measure import Meter
from agent.presence import Presence
from agent.publish import Publisher
from agent.records import CameraStatus, Detections, Frame, FrameResult, Labels, StageTimes
from bench.common import broker, machine, median_interval

Block = tuple[float, float]
"""Seconds by the wall and by the CPU, for one block of messages."""

_WINDOW = 400
"""Messages that our side hands over ahead of their acknowledgements."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench publish", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=5000, help="of each block")
    parser.add_argument("--blocks", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"publish: {machine()}")
    _loop_cost()
    with broker() as port:
        if port is None:
            print("  mosquitto is not installed: no messages were sent")
            return
        _messages(port, options.messages, options.blocks)


def _loop_cost(frames: int = 20_000) -> None:
    """What a frame costs the loop beside measuring: looking for news of detections, and handing windows over."""
    config = MqttConfig(host="127.0.0.1", port=9)  # nobody listens there: handing over costs the same
    labels = Labels({0: "bolt", 1: "nut"})
    results = [_result(number, labels) for number in range(64)]
    for mode in ("off", "change"):
        publisher = Publisher(config, site="bench", device="board")
        presence = Presence(_detections(mode), (), labels) if mode != "off" else None
        if presence is not None:
            presence.camera(CameraStatus("streaming"))
        meter = Meter(time.monotonic, 1.0)
        spent_s = 0.0
        for number in range(frames):
            result = results[number % len(results)]
            meter.frame(result.times, len(result.detections))
            report = meter.window(0) if number % 30 == 29 else None
            begun_s = time.perf_counter()
            if presence is not None and (sighting := presence.look(result, number / 30)) is not None:
                publisher.detections(sighting)
            if report is not None:
                publisher.perf(report)
            spent_s += time.perf_counter() - begun_s
        print(f"  detections {mode:<7} {1e6 * spent_s / frames:>7.1f} us a frame, the window's hand-over included")


def _detections(mode: str) -> object:
    import msgspec

    return msgspec.structs.replace(Config().detections, mode=mode)


def _result(number: int, labels: Labels) -> FrameResult:
    rng = np.random.default_rng(number)
    count = 12
    corners = rng.uniform(0, 300, (count, 2)).astype(np.float32)
    found = Detections(
        np.concatenate([corners, corners + 40], axis=1),
        rng.uniform(0.5, 1, count).astype(np.float32),
        rng.integers(0, len(labels.names), count).astype(np.int32),
    )
    frame = Frame(np.zeros((480, 640, 3), np.uint8), number / 30, number, np.zeros((36, 64), np.uint8))
    return FrameResult(frame, found, StageTimes(0.02, 0.001, 0.01, 0.001))


def _messages(port: int, messages: int, blocks: int) -> None:
    """The same number of QoS 1 messages of about the same size, ours and bare, in alternating blocks."""
    ours: list[Block] = []
    bare: list[Block] = []
    with tempfile.TemporaryDirectory() as folder:
        publisher = Publisher(MqttConfig(host="127.0.0.1", port=port), site="b", device="b", state_dir=Path(folder))
        publisher.start()
        _until(lambda: publisher.status().connected)
        client = _bare(port)
        for _ in range(blocks):
            ours.append(_timed(lambda: _ours(publisher, messages)))
            bare.append(_timed(lambda: _plain(client, messages)))
        client.disconnect()
        client.loop_stop()
        publisher.stop(5.0)
    for name, found in (("ours: on disk first, deleted when acknowledged", ours), ("bare paho, nothing kept", bare)):
        rate = median_interval([messages / wall for wall, _ in found])
        cpu = median_interval([1e6 * cpu / messages for _, cpu in found])
        print(f"  {name:<46} {rate[0]:>6.0f} messages/s [{rate[1]:.0f}, {rate[2]:.0f}], {cpu[0]:.0f} us of CPU each")
    ratio = median_interval([own[1] / plain[1] for own, plain in zip(ours, bare, strict=True)])
    print(f"  CPU, ours : bare {ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]")


def _timed(work: Callable[[], None]) -> Block:
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _ours(publisher: Publisher, messages: int) -> None:
    start = publisher.status().acked
    for number in range(messages):
        publisher.event("bench", {"number": number, "text": "x" * 100})
        while number - (publisher.status().acked - start) > _WINDOW:
            time.sleep(0.002)
    _until(lambda: publisher.status().acked - start >= messages)


def _bare(port: int) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(20)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _plain(client: mqtt.Client, messages: int) -> None:
    body = b"x" * 260
    for number in range(messages):
        last = client.publish("bench/bare", body, qos=1)
        if number % _WINDOW == _WINDOW - 1:
            last.wait_for_publish(30)
    last.wait_for_publish(30)


def _until(ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the broker does not acknowledge")
        time.sleep(0.005)
