"""Commands over a real broker and real kills: who saw `accepted` sees one outcome, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.servers.mosquitto import Mosquitto, Observer, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
P = "edge/v1/home/cam1"
FINAL = {"succeeded", "failed", "rejected", "expired"}

VICTIM = """
import sys, time
from pathlib import Path
from agent.commands import Commands, Errands, Ledger, Restart
from agent.config import MqttConfig
from agent.publish import Publisher, wall_clock
from agent.records import Answer

def slow(command, arguments):
    time.sleep(0.1)
    return Answer(command, "succeeded", message=arguments.level)

folder = Path(sys.argv[2])
errands, ledger = Errands(time.monotonic), Ledger(folder, wall_clock)
operations = {"loglevel": slow, "restart": Restart(lambda: None, lambda: True)}
commands = Commands(lambda answer: publisher.answer(answer), operations, ledger=ledger, errands=errands, device="cam1",
                    clock=time.monotonic, wall=wall_clock)
publisher = Publisher(MqttConfig(host="127.0.0.1", port=int(sys.argv[1])), site="home", device="cam1", state_dir=folder,
                      on_command=commands.take, on_delivered=commands.delivered)
publisher.start()
commands.resume()
errands.start()
while not publisher.status().acked:
    time.sleep(0.01)
time.sleep(0.1)
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop(signal.SIGKILL)


def victim(broker: Mosquitto, folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", VICTIM, str(broker.port), str(folder)]
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    return child


def replies(observer: Observer) -> dict[tuple[str, str], list[dict[str, object]]]:
    found: dict[tuple[str, str], list[dict[str, object]]] = {}
    for topic, body, _ in list(observer.messages):
        if topic.startswith(f"{P}/res/"):
            op, name = topic.split("/")[-2:]
            found.setdefault((op, name), []).append(json.loads(body))
    return found


def outcomes(said: list[dict[str, object]]) -> set[tuple[object, object]]:
    return {(reply["status"], reply["code"]) for reply in said if reply["status"] in FINAL}


def ask(observer: Observer, op: str, name: str) -> None:
    args = {"level": "debug"} if op == "loglevel" else {}
    observer.publish(f"{P}/cmd/{op}/{name}", json.dumps({"args": args}).encode())


def test_killed_at_any_moment_every_promise_is_kept_once(broker: Mosquitto, tmp_path: Path) -> None:
    rng = Random(7)  # noqa: S311  # moments of death
    asked: list[tuple[str, str]] = []
    with Observer(broker.port) as observer:
        for cycle in range(12):
            child = victim(broker, tmp_path)
            for op in rng.sample(["loglevel", "loglevel", "restart"], 3):
                asked.append((op, f"{cycle}-{len(asked)}"))
                ask(observer, *asked[-1])
            time.sleep(rng.uniform(0.0, 0.35))
            child.kill()
            child.wait()
        before = replies(observer)
        child = victim(broker, tmp_path)
        promised = {key for key, said in before.items() if any(reply["status"] == "accepted" for reply in said)}
        assert any(op == "restart" for op, _ in promised), "some were accepted and then killed"
        assert wait_until(lambda: all(outcomes(replies(observer)[key]) for key in promised))
        for op, name in asked:  # who got no answer asks again, under the same id
            ask(observer, op, name)
        lasting = [key for key in asked if key[0] == "loglevel" or key in promised]
        assert wait_until(lambda: all(outcomes(replies(observer).get(key, [])) for key in lasting), 30)
        child.kill()
        child.wait()
        final = replies(observer)
    assert all(len(outcomes(said)) <= 1 for said in final.values()), "no request has two outcomes"
    seen = {outcome for said in final.values() for outcome in outcomes(said)}
    assert seen <= {("succeeded", "ok"), ("failed", "interrupted"), ("rejected", "busy")}
    assert ("succeeded", "ok") in {
        outcome for key in promised if key[0] == "restart" for outcome in outcomes(final[key])
    }


@pytest.fixture
def agents() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts whole agents, and ends them however the test ends."""
    made: list[subprocess.Popen[str]] = []

    def start(config: Path) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "agent", "run", "--config", str(config)]
        made.append(subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return made[-1]

    yield start
    for child in made:
        if child.poll() is None:
            child.kill()
            child.communicate()


def test_a_restart_ends_the_agent_with_75_and_succeeds_with_the_next_start(
    broker: Mosquitto, tmp_path: Path, agents: Callable[[Path], subprocess.Popen[str]]
) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'[device]\nsite = "home"\nid = "cam1"\nstate_dir = "{tmp_path}/state"\n[camera]\nuri = "demo:"\n'
        f'[model]\nbundle = "demo:"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\nusername = "hunter2"\n'
    )
    with Observer(broker.port) as observer:
        first = agents(config)
        assert wait_until(lambda: observer.on(f"{P}/health"), 60)
        assert set(json.loads(observer.on(f"{P}/birth")[-1])["commands"]) >= {"snapshot", "restart", "diag"}
        observer.publish(f"{P}/cmd/diag/1", b"{}")
        observer.publish(f"{P}/cmd/rebirth/1", b"{}")
        observer.publish(f"{P}/cmd/loglevel/1", b'{"args": {"level": "debug", "for_s": 5}}')
        assert wait_until(lambda: {("diag", "1"), ("rebirth", "1"), ("loglevel", "1")} <= set(replies(observer)))
        diag = replies(observer)[("diag", "1")][-1]
        assert diag["status"] == "succeeded"
        assert "hunter2" not in json.dumps(diag)
        assert len(observer.on(f"{P}/birth")) == 2
        wish = json.dumps({"rev": 1, "config": {"mqtt.health_s": 1, "measure.sensors_s": 0.5}}).encode()
        observer.publish(f"{P}/desired", wish, retain=True)
        assert wait_until(lambda: json.loads(observer.on(f"{P}/reported")[-1])["rev_applied"] == 1)
        assert wait_until(lambda: len(observer.on(f"{P}/health")) > 2), "each second, not each five minutes"
        hashes = {json.loads(body)["config_sha256"] for body in observer.on(f"{P}/birth")}
        assert len(hashes) == 2
        observer.publish(f"{P}/cmd/restart/2", b"{}")
        _, errors = first.communicate(timeout=60)
        assert first.returncode == 75, errors
        assert "Traceback" not in errors
        assert [reply["status"] for reply in replies(observer)[("restart", "2")]] == ["accepted", "running"]
        second = agents(config)
        assert wait_until(lambda: outcomes(replies(observer)[("restart", "2")]), 60)
        assert json.loads(observer.on(f"{P}/birth")[-1])["config_sha256"] in hashes
        assert json.loads(observer.on(f"{P}/reported")[-1])["config"] == {"mqtt.health_s": 1, "measure.sensors_s": 0.5}
        cards = len(observer.on(f"{P}/health"))
        assert wait_until(lambda: len(observer.on(f"{P}/health")) > cards + 2), "still, after the restart"
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=60)
        third = agents(config)
        assert wait_until(lambda: len(observer.on(f"{P}/birth")) == 5, 60)
        third.send_signal(signal.SIGTERM)
        third.communicate(timeout=60)
        said = [reply["status"] for reply in replies(observer)[("restart", "2")]]
    assert said == ["accepted", "running", "succeeded"]
