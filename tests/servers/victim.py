"""A publisher in a process of its own, to be killed: ``python -m tests.servers.victim PORT STATE_DIR load|drain``."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

from agent.config import MqttConfig
from agent.publish import Publisher
from agent.records import Answer, Command
from tests.publish_fakes import perf_report


def main(port: int, state_dir: Path, mode: str) -> None:
    config = MqttConfig(
        host="127.0.0.1",
        port=port,
        reconnect_max_s=0.2,
        connect_timeout_s=1.0,
        profile="live",
        resolution_s=0.0,
        backlog_bytes_s=1e6,
    )
    publisher = Publisher(config, site="home", device="cam1", state_dir=state_dir, ack_deadline_s=2.0)
    publisher.start()
    if mode == "drain":
        by_s = time.monotonic() + 100.0
        while time.monotonic() < by_s and not (publisher.status().acked and not publisher.status().queue_rows):
            time.sleep(0.05)
        sys.stdout.write("drained\n" if publisher.stop(5.0) else f"not drained: {publisher.status()}\n")
        return
    sys.stdout.write("up\n")
    sys.stdout.flush()
    for number in itertools.count():
        publisher.event("tick", {"n": number})
        publisher.alarm("thermal", f"{number} degrees")
        publisher.answer(Answer(Command("snapshot", f"r{number}"), "succeeded"))
        publisher.perf(perf_report(started_s=time.monotonic() - 10.0))
        time.sleep(0.004)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
