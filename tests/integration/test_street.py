"""The main job, whole: a real SSD on a real stream, telemetry to a real broker with TLS, through stalls and kills."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.publish import decode
from tests.cases import COCO, make_clip
from tests.servers.mjpeg import MjpegServer
from tests.servers.mosquitto import Mosquitto, Observer, free_port, make_ca, make_cert, wait_until

pytestmark = pytest.mark.broker

P = "edge/v1/lab/cam1"


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Makes brokers, and ends them however the test ends."""
    made: list[Mosquitto] = []

    def make(*listener: str) -> Mosquitto:
        made.append(Mosquitto(tmp_path / f"broker{len(made)}", listener=list(listener)).start())
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


def settings(folder: Path, camera: str, port: int, **more: str) -> Path:
    path = folder / "agent.toml"
    mqtt = "\n".join(f"{key} = {value}" for key, value in more.items())
    board = Path(__file__).parent.parent / "fixtures" / "sysfs" / "pi4"
    path.write_text(
        f'[device]\nsite = "lab"\nid = "cam1"\nstate_dir = "{folder}/state"\n'
        f'[camera]\nuri = "{camera}"\nstall_s = 1.0\nread_timeout_s = 1.0\n'
        "reconnect_min_s = 0.1\nreconnect_max_s = 0.5\n"
        f'[measure]\nwindow_s = 1.0\nsensors_s = 0.5\nsys_root = "{board}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nhealth_s = 1.0\nprofile = "live"\nresolution_s = 0\n{mqtt}\n'
    )
    return path


def started(assets: Path, config: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agent", "run", "--config", str(config), "--model", str(assets / COCO), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def ended(child: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
    child.send_signal(number)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "Traceback" not in errors
    return output, errors


def states(observer: Observer) -> list[str]:
    return [json.loads(body)["state"] for body in observer.on(f"{P}/state")]


def test_detections_on_a_stream_and_telemetry_over_tls(
    assets: Path, tmp_path: Path, brokers: Callable[..., Mosquitto]
) -> None:
    make_ca(tmp_path)
    make_cert(tmp_path, "server")
    tls_port = free_port()
    files = [f"cafile {tmp_path}/ca.crt", f"certfile {tmp_path}/server.crt", f"keyfile {tmp_path}/server.key"]
    broker = brokers(f"listener {tls_port} 127.0.0.1", *files)
    with MjpegServer() as camera, Observer(broker.port) as observer:
        config = settings(tmp_path, camera.url(), tls_port, ca_file=f'"{tmp_path}/ca.crt"')
        child = started(assets, config)
        wanted = [f"{P}/{name}" for name in ("birth", "state", "health", "m/perf", "m/sys", "m/therm")]
        assert wait_until(lambda: all(observer.on(topic) for topic in wanted), 60), shown(child, observer)
        observer.publish(f"{P}/cmd/snapshot/1", b"{}")
        observer.publish(f"{P}/cmd/shell/2", b"{}")
        asked = [f"{P}/res/snapshot/1", f"{P}/res/shell/2"]
        assert wait_until(lambda: all(observer.on(topic) for topic in asked), 60), shown(child, observer)
        output, _ = ended(child)
        assert wait_until(lambda: states(observer)[-1] == "offline")
    assert "fps" in output
    assert states(observer)[0] == "online"
    birth = json.loads(observer.on(f"{P}/birth")[0])
    assert birth["model"]["sha256"].startswith("61d598093ed0")
    assert {"snapshot", "restart"} <= set(birth["commands"])
    answers = [json.loads(observer.on(topic)[0]) for topic in asked]
    assert [(answer["status"], answer["code"]) for answer in answers] == [
        ("succeeded", "ok"),
        ("rejected", "unsupported"),
    ]
    assert base64.b64decode(answers[0]["data"]["jpeg"]).startswith(b"\xff\xd8")
    perf = json.loads(observer.on(f"{P}/m/perf")[0])
    assert perf["frames"] > 0
    assert perf["boot"] == birth["boot"]
    for topic, body, _ in observer.messages:
        if body and "/cmd/" not in topic:
            decode(topic, body)


def test_a_stalled_camera_is_an_alarm_and_its_return_clears_it(
    assets: Path, tmp_path: Path, brokers: Callable[..., Mosquitto]
) -> None:
    broker = brokers()
    with MjpegServer() as camera, Observer(broker.port) as observer:
        child = started(assets, settings(tmp_path, camera.url(), broker.port))
        assert wait_until(lambda: observer.on(f"{P}/m/perf"), 60), shown(child, observer)
        camera.mode = "stall"
        assert wait_until(lambda: observer.on(f"{P}/a/camera"), 60)
        camera.mode = "ok"
        assert wait_until(lambda: observer.on(f"{P}/a/camera")[-1] == b"")
        _, errors = ended(child, signal.SIGTERM)
    assert "degraded" in states(observer)
    assert states(observer)[-2:] == ["online", "offline"]
    assert errors.count("stalled") <= 2, "a change of state is logged once, not per frame"


def test_a_broker_that_dies_costs_no_frame_and_no_window(
    assets: Path, tmp_path: Path, brokers: Callable[..., Mosquitto]
) -> None:
    clip = make_clip(tmp_path / "clip.avi", assets / "images/misc/pets.jpg", 50)
    broker = brokers()
    config = settings(tmp_path, str(clip), broker.port, reconnect_max_s="0.5")
    child = started(assets, config, "--loop", "--json")
    with Observer(broker.port) as observer:
        assert wait_until(lambda: observer.on(f"{P}/m/perf"), 60), shown(child, observer)
        broker.stop(signal.SIGKILL)
        assert wait_until(lambda: child.poll() is not None, 2.5) is False, "without a broker it measures on"
        broker.start()
        before = len(observer.on(f"{P}/m/perf"))
        assert wait_until(lambda: len(observer.on(f"{P}/m/perf")) >= before + 2, 60)
        output, _ = ended(child)
    sequences = [json.loads(line)["sequence"] for line in output.splitlines()[:-1]]
    assert sequences == sorted(sequences)
    # The observer itself was away for a while, so what it has not seen says nothing; the agent's own account does.
    cards = [json.loads(body) for body in observer.on(f"{P}/health")]
    assert cards[-1]["dropped"] == {}
    assert cards[-1]["conn"] == 2


def shown(child: subprocess.Popen[str], observer: Observer) -> str:
    child.kill()
    return f"{child.communicate()[1][-2000:]}\n{sorted({topic for topic, _, _ in observer.messages})}"
