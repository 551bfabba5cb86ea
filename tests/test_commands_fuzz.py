"""Ten thousand hostile messages through the whole way in: no crash, no action, a reason or silence by rule."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.commands import KINDS, offered
from agent.config import Config
from agent.desired import Overlay
from agent.publish import listing
from agent.publish.link import Accepted, Received
from agent.publish.outbox import Outbox
from agent.publish.session import Session
from agent.publish.stamp import Stamper
from agent.publish.stored import merge_rows
from agent.publish.topics import Names
from agent.records import Answer, Command
from tests.publish_fakes import Link
from tests.test_commands import FINAL, Desk

DESIRED = Draft202012Validator(listing.schema_of("desired"))
REQUEST = Draft202012Validator(listing.schema_of("cmd"))
ARGUMENTS = {op: Draft202012Validator(schema) for op, schema in offered().items()}

words = st.sampled_from(
    ["cmd", "state", "a", "res", "$all", "cam1", "cam2", "home", "edge", "v1", "", "+", "#", "..", "%u"]
)
ops = st.sampled_from([*KINDS, "shell", "exec", "../restart", "restart;id", "RESTART", "restart\0", ""])
ids = st.one_of(st.just("1"), st.sampled_from(["", "+", "ä", "x" * 65, "A", "a/b", "$(id)"]), st.text(max_size=5))
devices = st.sampled_from(["cam1", "$all", "cam2", "+", ""])
topics = st.one_of(
    st.just("edge/v1/home/cam1/desired"),
    st.builds(lambda device, op, name: f"edge/v1/home/{device}/cmd/{op}/{name}", devices, ops, ids),
    st.builds("/".join, st.lists(words, max_size=9)),
    st.text(max_size=80),
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
arguments = st.dictionaries(st.sampled_from(["level", "for_s", "lines", "line", "x"]), values, max_size=3)
wishes = st.fixed_dictionaries(
    {"rev": st.one_of(st.integers(), values)},
    optional={"config": st.dictionaries(st.sampled_from(["log.level", "mqtt.health_s", "mqtt.host"]), values)},
)
requests = st.dictionaries(
    st.sampled_from(["exp", "args", "spread_s", "op", "id"]), st.one_of(values, arguments), max_size=4
)
DEEP = b'{"args":' * 2000 + b"{}" + b"}" * 2000
bodies = st.one_of(
    st.builds(lambda value: json.dumps(value).encode(), st.one_of(requests, wishes, values)),
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b"{", b"[" * 15_000, DEEP, b'{"exp":1e999}', b'{"args":{},"args":[]}', b"{}" + b" " * 20_000]
    ),
)


def is_allowed(topic: str, body: bytes, retained: bool) -> bool:
    """What the contract lets through, by its published schemas and the wording of docs/mqtt.md."""
    found = re.fullmatch(r"edge/v1/home/(cam1|\$all)/cmd/([a-z0-9-]{1,64})/[a-z0-9-]{1,64}", topic)
    if found is None or retained or found[2] not in ARGUMENTS or len(body) > 16 * 1024:
        return False
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return REQUEST.is_valid(request) and ARGUMENTS[found[2]].is_valid(request.get("args", {}))


class Board:
    """A session whose commands end in operations that only take notes."""

    def __init__(self) -> None:
        self.done: list[str] = []

        def note(command: Command, _: Any) -> Answer:
            self.done.append(command.op)
            return Answer(command, "succeeded")

        self.overlay = Overlay(Config(), None)
        self.desk = Desk(**dict.fromkeys(KINDS, note))
        clock = self.desk.clock
        self.session = Session(
            Names("home", "cam1"),
            Outbox(2**20, merge_rows),
            Stamper(device="cam1", boot="b007", clock=clock, wall=clock.wall),
            clock,
            on_command=self.desk.commands.take,
            on_desired=self.overlay.take,
        )
        self.link = Link(clock)
        self.session.begin(self.link, Accepted(window=8, max_packet_bytes=128 * 1024), 1)

    def take(self, topic: str, body: bytes, *, retained: bool) -> None:
        self.session.on_event(Received(topic, body, retained))
        self.desk.errands.turn(self.desk.clock.now_s + 4000)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(topics, bodies, st.booleans())
def test_whatever_comes_in_is_refused_with_a_reason_or_ignored_by_rule(topic: str, body: bytes, retained: bool) -> None:
    board = Board()
    board.take(topic, body, retained=retained)
    if board.overlay.is_active:
        assert topic == "edge/v1/home/cam1/desired"
        assert DESIRED.is_valid(json.loads(body))
    said = [answer for answer in board.desk.said if answer.status in FINAL]
    if board.done:
        assert is_allowed(topic, body, retained)
    elif said:
        assert [answer.status for answer in said] in (["rejected"], ["expired"])
        assert said[0].message
    else:
        found = re.fullmatch(r"edge/v1/home/cam1/cmd/[a-z0-9-]{1,64}/[a-z0-9-]{1,64}", topic)
        assert found is None or retained or not body, "a request to this board is answered"


def test_a_fair_request_does_get_through() -> None:
    board = Board()
    board.take("edge/v1/home/cam1/cmd/rebirth/1", b"{}", retained=False)
    board.take("edge/v1/home/$all/cmd/rebirth/2", b'{"spread_s": 30}', retained=False)
    board.take("edge/v1/home/$all/cmd/rebirth/3", b"{}", retained=False)
    board.take("edge/v1/home/cam1/cmd/rebirth/4", b"{}", retained=True)
    board.take("edge/v1/home/cam1/cmd/x/rebirth/5", b"{}", retained=False)
    assert board.done == ["rebirth", "rebirth"]


def test_to_clear_a_retained_request_is_to_ask_for_nothing() -> None:
    board = Board()
    for retained in (False, True):
        board.take("edge/v1/home/cam1/cmd/restart/1", b"", retained=retained)
        board.take("edge/v1/home/$all/cmd/rebirth/2", b"", retained=retained)
    assert (board.done, board.desk.said) == ([], [])


def test_a_retained_request_is_not_carried_out_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    board = Board()
    for number in range(3):
        board.take(f"edge/v1/home/cam1/cmd/restart/{number}", b"{}", retained=True)
    assert board.done == []
    assert [record.message for record in caplog.records if "retained" in record.message] == [
        "edge/v1/home/cam1/cmd/restart/0: a retained request is not carried out: send it without the retain flag"
    ]


def test_the_mark_of_retained_is_asked_for_on_requests_and_not_on_our_own_topics() -> None:
    marked = Board().link.marked
    assert {"edge/v1/home/cam1/cmd/+/+", "edge/v1/home/$all/cmd/+/+"} <= set(marked)
    assert not {"edge/v1/home/cam1/state", "edge/v1/home/cam1/a/+"} & set(marked), "what we say comes back there"


def test_rubbish_on_our_own_state_is_repaired_not_fallen_over() -> None:
    for body in (DEEP, b'{"x":' + b"[" * 60_000, b'{"x":"\xff"}', b"\xff"):
        board = Board()
        board.take("edge/v1/home/cam1/state", body, retained=True)
        board.session.pump(board.link)
        assert board.session.hearing.rivals == 0
