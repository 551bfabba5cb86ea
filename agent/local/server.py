"""Serves the local socket on the thread "local"; nobody else waits for it.

Every bound is small and meant for a person at a terminal: lines of 16 KiB, 16 connections, 50 requests a second of all
together, ten seconds to say or take something. What goes beyond is cut off, and costs the frames nothing.
"""

from __future__ import annotations

import logging
import selectors
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.local import place, wire
from agent.local.peer import Peer, may_command, peer_of
from agent.records import Answer, Command

log = logging.getLogger("agent.local")

MOST_CONNECTIONS = 16
MOST_A_SECOND = 50
PATIENCE_S = 10.0
"""To say a whole line, or to take a reply."""

LONGEST_S = 3600.0
"""A command may run for so long."""

Key = tuple[str, str]


class Connection:
    """One client.

    Attributes:
        asked: the request that is not answered yet; the next one is read after it.
        seen_s: when it last said or took something.
        is_last: it is told one thing more, and then cut off.
        is_over: it will say no more, but may still be told something.
    """

    def __init__(self, link: socket.socket, peer: Peer, now_s: float) -> None:
        self.link, self.peer = link, peer
        self.said = bytearray()
        self.due = bytearray()
        self.asked: Key | None = None
        self.seen_s = now_s
        self.is_last = self.is_over = False

    @property
    def is_done(self) -> bool:
        """Nothing is to be told any more, and nothing will be asked."""
        return not self.due and (self.is_last or (self.is_over and self.asked is None and b"\n" not in self.said))


class Local:
    """The local socket; ``start`` and ``stop`` frame the service's life.

    Args:
        folder: where the socket is made.
        take: takes a command; called on this object's thread, returns at once.
        status: what ``status`` tells; the same.
        clock: monotonic seconds.
        group: the socket is for the service's group as well.
        state: the folder that one agent alone may work on; ``folder`` when not given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        take: Callable[[Command], None],
        status: Callable[[], dict[str, Any]],
        clock: Callable[[], float],
        group: bool = False,
        state: Path | None = None,
    ) -> None:
        self._folder, self._take, self._status, self._clock, self._group = folder, take, status, clock, group
        self._answers: deque[Answer] = deque(maxlen=1024)
        self._connections: dict[socket.socket, Connection] = {}
        self._listener: socket.socket | None = None
        self._state = state or folder
        self._claim: place.Claim | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._second = (0.0, 0)

    def start(self) -> None:
        """Take the place of a dead agent's socket, and serve.

        Raises:
            UnavailableError: another agent runs on this state.
            OSError: the socket cannot be made there.
        """
        self._claim = place.Claim(self._state)
        self._listener = self._listen()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        for link in (self._woken, self._waker, self._listener):
            link.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="local", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and take the socket away."""
        self._over.set()
        if self._thread is None:
            return
        self._wake()
        self._thread.join(timeout=2.0)
        if self._listener is not None:
            self._listener.close()
            with suppress(OSError):  # somebody took it away
                (self._folder / place.NAME).unlink()
        if self._claim is not None:
            self._claim.release()

    def answer(self, answer: Answer) -> None:
        """A reply to whoever asked here, if anybody did; from any thread, once started, returns at once."""
        self._answers.append(answer)
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake; closed: it is over
            self._waker.send(b"\0")

    def _listen(self) -> socket.socket:
        # Under another name first: nobody may find it before its mode is set, and a dead one's is replaced at once.
        fresh = f"{place.NAME}.new"
        with suppress(FileNotFoundError):
            (self._folder / fresh).unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with place.address(self._folder, fresh) as address:
                listener.bind(address)
            (self._folder / fresh).chmod(0o660 if self._group else 0o600)
            listener.listen(MOST_CONNECTIONS)
            (self._folder / fresh).replace(self._folder / place.NAME)
        except OSError:
            listener.close()
            if self._claim is not None:
                self._claim.release()
            raise
        return listener

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._turn()
        finally:
            if sys.exception() is not None:  # the traceback itself goes through threading.excepthook
                log.error("the thread local failed: nothing can be asked on the board until the next start")
            for connection in list(self._connections.values()):
                self._close(connection)
            for link in (self._woken, self._waker, self._selector):
                link.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(timeout=1.0):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            elif key.fileobj is self._listener:
                self._accept()
            elif key.data.link in self._connections:  # not cut off a moment ago
                self._serve(key.data, events)
        while self._answers:
            self._hand_out(self._answers.popleft())
        self._sweep()

    def _accept(self) -> None:
        if self._listener is None or not self._has_budget():
            return
        try:
            link, _ = self._listener.accept()
        except OSError:  # gone again, or no descriptor is free
            return
        link.setblocking(False)
        connection = Connection(link, peer_of(link), self._clock())
        self._connections[link] = connection
        self._selector.register(link, selectors.EVENT_READ, connection)
        if len(self._connections) > MOST_CONNECTIONS:
            self._refuse(connection, "busy", f"{MOST_CONNECTIONS} connections are open already")

    def _has_budget(self) -> bool:
        """One more request in this second; when there is none left, the rest of it is slept through."""
        now_s = self._clock()
        begun_s, count = self._second
        if not begun_s <= now_s < begun_s + 1.0:
            begun_s, count = now_s, 0
        self._second = (begun_s, count + 1)
        if count < MOST_A_SECOND:
            return True
        self._over.wait(1.0)
        return False

    def _serve(self, connection: Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(connection)
            if events & selectors.EVENT_READ:
                self._read(connection)
        except OSError:
            self._close(connection)

    def _read(self, connection: Connection) -> None:
        data = connection.link.recv(wire.MOST_LINE_BYTES)
        connection.is_over = not data
        connection.said += data
        self._next_line(connection)
        self._watch(connection)

    def _next_line(self, connection: Connection) -> None:
        """Serves one line; the next one after its last reply."""
        line, end, rest = bytes(connection.said).partition(b"\n")
        if len(line) > wire.MOST_LINE_BYTES:
            self._refuse(connection, "too-large", f"a request is at most {wire.MOST_LINE_BYTES} bytes")
        elif connection.asked is None and end and self._has_budget():
            connection.said = bytearray(rest)
            connection.seen_s = self._clock()
            self._ask(connection, line)
        elif len(connection.said) > 4 * wire.MOST_LINE_BYTES:
            self._refuse(connection, "too-large", "ask one thing after the other")

    def _ask(self, connection: Connection, line: bytes) -> None:
        command = wire.read_request(line)
        if isinstance(command, str):
            self._refuse(connection, "bad-request", command)
        elif not may_command(connection.peer, group=self._group):
            log.warning("%s may not ask for %s", connection.peer, command.op)
            self._refuse(connection, "forbidden", "this is for root, and the agent's own user and group")
        elif command.op == "status":
            self._say(connection, wire.write_answer(Answer(command, "succeeded", data=self._status())))
        else:
            log.info("%s asks for %s (%s)", connection.peer, command.op, command.id)
            connection.asked = (command.op, command.id)
            self._take(command)

    def _hand_out(self, answer: Answer) -> None:
        key = (answer.command.op, answer.command.id)
        waiting = [connection for connection in self._connections.values() if connection.asked == key]
        if not waiting:
            return
        line = wire.write_answer(answer)
        for connection in waiting:
            connection.seen_s = self._clock()
            if answer.status in wire.FINAL:
                connection.asked = None
            self._say(connection, line)

    def _refuse(self, connection: Connection, code: str, message: str) -> None:
        connection.is_last = True
        connection.said.clear()
        self._say(connection, wire.write_reply(wire.Reply(status="rejected", code=code, message=message)))

    def _say(self, connection: Connection, line: bytes) -> None:
        connection.due += line
        try:
            self._write(connection)
        except OSError:
            self._close(connection)

    def _write(self, connection: Connection) -> None:
        with suppress(BlockingIOError):
            sent = connection.link.send(connection.due)
            del connection.due[:sent]
            connection.seen_s = self._clock()
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        """What is waited for: who does not take its replies is not listened to either."""
        if connection.is_done:
            self._close(connection)
            return
        if connection.link not in self._connections:
            return
        wanted = selectors.EVENT_WRITE if connection.due else 0 if connection.is_over else selectors.EVENT_READ
        known = self._selector.get_map().get(connection.link)
        if known is not None and known.events != wanted:
            self._selector.unregister(connection.link)
        if wanted and (known is None or known.events != wanted):
            self._selector.register(connection.link, wanted, connection)

    def _sweep(self) -> None:
        """Whoever said half a line, or does not take its reply; and the next line of whoever said several."""
        now_s = self._clock()
        for connection in list(self._connections.values()):
            patience_s = LONGEST_S if connection.asked and not connection.due else PATIENCE_S
            if now_s - connection.seen_s > patience_s:
                self._close(connection)
            elif connection.said and not connection.due and not connection.is_last:
                self._next_line(connection)
                self._watch(connection)

    def _close(self, connection: Connection) -> None:
        if self._connections.pop(connection.link, None) is not None:
            with suppress(KeyError):  # it was not listened to
                self._selector.unregister(connection.link)
            connection.link.close()
