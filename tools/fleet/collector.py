"""From the broker into the fleet: one subscriber, and the commands that ask a board for something.

Runs on paho's own thread; the fleet is guarded by one lock. Everything that comes in is taken as hostile: what is not
of the contract is counted and left alone.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.errors import BrokerError
from agent.publish.contract import Reply
from tools.fleet.boards import Fleet
from tools.fleet.gaps import Gap

_MOST_WAITING = 256


class Collector:
    """Subscribes to every board of every site.

    Args:
        host: the broker.
        port: its port.

    Attributes:
        taken_total: messages of the contract that came in.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._lock = threading.Lock()
        self._fleet = Fleet()
        self._waiting: dict[str, Future[Reply]] = {}
        self.taken_total = 0
        # 3.1.1 is all that is needed here, and every broker speaks it.
        name = f"edge-tools-{secrets.token_hex(4)}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 30)

    def start(self) -> None:
        """Connect and go on by itself.

        Raises:
            BrokerError: nobody answers there.
        """
        try:
            self._client.connect(self._host, self._port)
        except OSError as error:
            raise BrokerError(f"no broker at {self._host}:{self._port}: {error.strerror or error}") from None
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def view(self) -> list[dict[str, Any]]:
        """Every board, as :meth:`Fleet.view`."""
        with self._lock:
            return self._fleet.view(time.monotonic())

    def history(self, site: str, device: str) -> list[dict[str, float | None]]:
        """One board's windows, as :meth:`Fleet.history`."""
        with self._lock:
            return self._fleet.history(site, device)

    def gaps(self, site: str, device: str) -> dict[str, Gap]:
        """What of a board never came, as :meth:`Fleet.gaps`."""
        with self._lock:
            return self._fleet.gaps(site, device)

    def knows(self, site: str, device: str) -> bool:
        """The board has been heard of."""
        with self._lock:
            return (site, device) in self._fleet.boards

    def ask(self, site: str, device: str, op: str, timeout_s: float) -> Reply | None:
        """Send a command and wait for its last reply; None when none came in time."""
        name = secrets.token_hex(8)
        answer: Future[Reply] = Future()
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                return None
            self._waiting[name] = answer
        try:
            request = json.dumps({"exp": time.time() + timeout_s})  # noqa: TID251  # an expiry is wall time
            # QoS 0 is not kept for a board that is away: it would answer a page that has long been closed
            self._client.publish(f"edge/v1/{site}/{device}/cmd/{op}/{name}", request, qos=0)
            return answer.result(timeout_s)
        except Late:
            return None
        finally:
            with self._lock:
                self._waiting.pop(name, None)

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe("edge/v1/#", qos=1)

    def _message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        words, payload = message.topic.split("/"), bytes(message.payload)
        if len(words) == 7 and words[4] == "res":
            self._replied(words[6], payload)
        elif len(words) > 4 and words[4] != "cmd":
            with self._lock:
                self.taken_total += self._fleet.take(message.topic, payload, time.monotonic())

    def _replied(self, name: str, payload: bytes) -> None:
        with self._lock:
            answer = self._waiting.get(name)
        if answer is None:
            return
        try:
            reply = msgspec.json.decode(payload, type=Reply)
        except msgspec.DecodeError:
            return
        if reply.status not in {"accepted", "running"} and not answer.done():
            answer.set_result(reply)
