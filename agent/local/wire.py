"""What is said on the local socket: one JSON object a line, both ways.

To the agent: ``{"op": "loglevel", "args": {"level": "debug"}}``, with an ``id`` to be found again by (else it is given
one) and ``exp``, as in a request over MQTT. From it: ``op``, ``ref`` (the id), ``status``, ``code``, ``message``,
``data``, as in a reply over MQTT: ``accepted`` and ``running`` where an operation lasts, then exactly one of
``succeeded``, ``failed``, ``rejected``, ``expired``.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent.records import Answer, Command
from agent.wording import no_json

MOST_LINE_BYTES = 16 * 1024
MOST_REPLY_BYTES = 512 * 1024
FINAL = frozenset({"succeeded", "failed", "rejected", "expired"})

Word = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line to the agent."""

    op: Word
    id: Word | None = None
    exp: float | None = None
    args: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One line from it."""

    status: str
    op: str = ""
    ref: str = ""
    code: str = "ok"
    message: str = ""
    data: dict[str, Any] = {}

    @property
    def is_final(self) -> bool:
        """Nothing more follows."""
        return self.status in FINAL


def read_request(line: bytes) -> Command | str:
    """A line as a command, or one sentence on why it is none."""
    try:
        request = msgspec.json.decode(line, type=Request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"not a request: {no_json(error, Request)}"
    name = request.id or f"local-{secrets.token_hex(6)}"
    return Command(request.op, name, request.exp, request.args, is_local=True)


def write_answer(answer: Answer) -> bytes:
    """A reply as a line."""
    command = answer.command
    return write_reply(
        Reply(
            status=answer.status,
            op=command.op,
            ref=command.id,
            code=answer.code,
            message=answer.message,
            data=answer.data,
        )
    )


def write_reply(reply: Reply) -> bytes:
    """A reply as a line."""
    return msgspec.json.encode(reply) + b"\n"
