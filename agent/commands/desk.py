"""Takes commands, decides who is served, and answers: each exactly once, whatever happens in between.

``take`` is called on the threads "mqtt" and "local" and returns at once; all else is done on the thread "writer".
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from agent.commands.budget import Budget
from agent.commands.errands import Errands
from agent.commands.ledger import OPEN, Key, Ledger, key_of
from agent.commands.operation import KINDS, Operation
from agent.records import Answer, Command
from agent.sqlite import RETRY_S
from agent.wording import fault_in

log = logging.getLogger("agent.commands")

MOST_WAITING = 8
MOST_SPREAD = 32
"""Requests to a whole site that wait for their turn."""


class Commands:
    """Carries out a closed list of operations.

    Args:
        answer: where replies go.
        operations: by name; those of :data:`KINDS` that this board offers.
        ledger: what became of each command.
        errands: the thread that does the work.
        device: this board's name, for its share of a spread.
        clock: monotonic seconds.
        wall: unix time in seconds, for expiry.
    """

    def __init__(
        self,
        answer: Callable[[Answer], None],
        operations: Mapping[str, Operation],
        *,
        ledger: Ledger,
        errands: Errands,
        device: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._send, self._operations = answer, operations
        self._ledger, self._errands = ledger, errands
        self._device, self._clock, self._wall = device, clock, wall
        self._budget = Budget(clock)
        self._waiting: set[Key] = set()
        self._spreading: set[Key] = set()
        self._taking = threading.Lock()
        self._is_watching = False

    def resume(self) -> None:
        """Finishes what a former life left: every promise of an answer is kept, as soon as the disk tells of it."""
        for answer in self._ledger.left_open():
            command = answer.command
            if command.op == "restart":
                self._finish(Answer(command, "succeeded", message="started again"))
            else:
                self._finish(Answer(command, "failed", "interrupted", "the agent was ended while it was at it"))
        for answer in self._ledger.take_undelivered():
            self._say(answer)
        self._watch_ledger()

    def take(self, command: Command) -> None:
        """Takes one command; what cannot be done is answered at once, or by its share of the spread."""
        with self._taking:
            self._take(command)

    def _take(self, command: Command) -> None:
        key = key_of(command)
        if key in self._waiting or key in self._spreading:
            return  # it will be answered once
        if not command.to_all:
            self._begin(command)
        elif command.spread_s is None:
            why = command.problem or "it has no spread_s"
            log.warning("a request to the whole site is ignored: %s/%s: %s", command.op, command.id, why)
        elif len(self._spreading) >= MOST_SPREAD:
            log.warning("%d requests to the whole site wait already: %s is ignored", MOST_SPREAD, command.op)
        else:
            self._spreading.add(key)
            due_s = self._clock() + command.spread_s * share(command.id, self._device)
            self._errands.at(due_s, lambda: self._take_turn(command))

    def delivered(self, op: str, name: str) -> None:
        """The broker has a reply; called on the mqtt thread."""
        if self._ledger.is_kept((op, name)):
            self._ledger.delivered((op, name))

    def progress(self, answer: Answer) -> None:
        """How far something is that lasts; from any thread."""
        self._errands.do(lambda: self._say(answer))

    def finish(self, answer: Answer) -> None:
        """The last reply to what its operation left for later; from any thread."""
        self._errands.do(lambda: self._finish(answer))

    def _take_turn(self, command: Command) -> None:
        with self._taking:
            self._spreading.discard(key_of(command))
            self._begin(command)

    def _begin(self, command: Command) -> None:
        before = self._ledger.find(key_of(command))
        if before is not None:
            if before.status not in OPEN:
                self._say(replace(before, command=command))
            return
        refusal = self._refusal(command)
        if refusal is None and len(self._waiting) >= MOST_WAITING:
            wait = f"{MOST_WAITING} commands wait already; ask again under another id"
            refusal = Answer(command, "rejected", "busy", wait)
        if refusal is not None:
            self._ledger.remember(refusal)
            self._say(refusal)
            return
        self._waiting.add(key_of(command))
        self._errands.do(lambda: self._carry_out(command))

    def _refusal(self, command: Command) -> Answer | None:
        if command.op not in self._operations:
            known = ", ".join(self._operations)
            return Answer(command, "rejected", "unsupported", f"no operation is called {command.op!r}; known: {known}")
        if command.problem:
            return Answer(command, "rejected", "bad-args", f"the request: {command.problem}")
        kind = KINDS[command.op].arguments
        try:
            msgspec.convert(command.args, kind)
        except msgspec.ValidationError as error:
            return Answer(command, "rejected", "bad-args", f"args: {fault_in(error, kind)}")
        return self._refusal_of_all(command) or self._expiry(command)

    def _refusal_of_all(self, command: Command) -> Answer | None:
        least_s = KINDS[command.op].to_all_spread_s
        if not command.to_all:
            why = "spread_s is for a request to a whole site; leave it out"
            return Answer(command, "rejected", "bad-args", why) if command.spread_s is not None else None
        if least_s is None:
            return Answer(command, "rejected", "not-to-all", f"{command.op} is asked of one board, not of a site")
        if command.spread_s is None or command.spread_s < least_s:
            return Answer(command, "rejected", "bad-args", f"to a whole site it takes spread_s >= {least_s:g}")
        return None

    def _expiry(self, command: Command) -> Answer | None:
        if command.expires_s is None or self._wall() <= command.expires_s:
            return None
        return Answer(command, "expired", "expired", "its time had passed before it could begin; was the board away?")

    def _carry_out(self, command: Command) -> None:
        try:
            self._serve(command)
        finally:
            self._waiting.discard(key_of(command))

    def _serve(self, command: Command) -> None:
        late = self._expiry(command)
        if late is not None:
            self._finish(late)
            return
        kind = KINDS[command.op]
        accepted = Answer(command, "accepted")
        if kind.changes or self._budget.take():
            self._ledger.keep(accepted)
            self._watch_ledger()
        else:
            self._ledger.remember(accepted)
        if kind.lasts:
            self._say(accepted)
            self._say(Answer(command, "running"))
        answer: Answer | None = Answer(command, "failed", "bug", "it failed over a fault of its own; the log says more")
        try:
            answer = self._operations[command.op](command, msgspec.convert(command.args, kind.arguments))
        finally:
            if answer is not None:
                self._finish(answer)

    def _finish(self, answer: Answer) -> None:
        if self._ledger.is_kept(key_of(answer.command)):
            self._ledger.keep(answer)
        else:
            self._ledger.remember(answer)
        with self._taking:  # whoever asks again meanwhile hears this, or finds it in the ledger
            self._waiting.discard(key_of(answer.command))
            self._say(answer)

    def _watch_ledger(self) -> None:
        """While the disk refuses, it is tried again though nobody asks for anything."""
        if self._ledger.is_behind and not self._is_watching:
            self._is_watching = True
            self._errands.at(self._clock() + RETRY_S, self._retry)

    def _retry(self) -> None:
        self._is_watching = False
        self._ledger.save()
        self.resume()

    def _say(self, answer: Answer) -> None:
        if self._ledger.is_kept(key_of(answer.command)):
            self._ledger.sent(key_of(answer.command))
        self._send(answer)


def share(request_id: str, device: str) -> float:
    """Which part of a spread a board waits, 0 to 1: always the same for one request and board.

    >>> round(share("7f3a", "cam1"), 3) == round(share("7f3a", "cam1"), 3)
    True
    """
    digest = hashlib.sha256(f"{request_id}/{device}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
