"""The camera's address: one string in, one frozen record out. Pure; nothing is opened here.

=====================================  =============================================
``/dev/video0``, ``/dev/v4l/by-id/x``  a V4L2 device, by path
``usb:0``                              the same as ``/dev/video0``
``picamera:``, ``picamera:1``          a Raspberry Pi camera, by number
``rtsp://…``, ``rtsps://…``            a network camera
``http://…``, ``https://…``            a network camera, MJPEG
``demo:``, ``demo:?seed=3&light=0.4``   parts on a conveyor, rendered; no hardware needed
anything else, also ``file:…``         a video file, a folder of pictures or one picture
=====================================  =============================================

Passwords never leave this file in readable form: every message shows :attr:`CameraUri.shown`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from agent.errors import CameraError

Kind = Literal["v4l2", "picamera", "stream", "rendered", "path"]

FORMS = (
    "/dev/video0, usb:0, picamera:, rtsp://host/path, http://host/path, a video file, a folder of pictures or a "
    "picture, or demo: for rendered parts on a conveyor"
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://)?")
_STREAMS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
# Cheap cameras want the password in the query (?user=admin&pwd=x) or in the path (/user=admin_password=x_channel=1).
_SECRET = re.compile(r"((?:user|login|pass|pwd|pw|auth|token|key|secret|sig)[a-z]*=)[^&;/?#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CameraUri:
    """Where frames come from.

    Attributes:
        kind: which source reads it.
        target: device path, camera number, URL or file path; may hold a password, so it is never printed.
        shown: the same for people, passwords replaced by ``***``.
        host: of a stream, else empty.
        port: of a stream, the scheme's own when the URL has none; else 0.
    """

    kind: Kind
    target: str
    shown: str
    host: str = ""
    port: int = 0

    def __repr__(self) -> str:
        """Without the target: a record in a log line must not tell a password."""
        return f"CameraUri({self.kind}, {self.shown!r})"


def parse(text: str) -> CameraUri:
    """Read ``camera.uri``.

    Raises:
        CameraError: the text is no address; the sentence says which forms there are.

    >>> parse("usb:1").target
    '/dev/video1'
    >>> parse("rtsp://admin:pa%40ss@10.0.0.7/ch1?token=abc").shown
    'rtsp://admin:***@10.0.0.7/ch1?token=***'
    """
    if not text.strip():
        raise CameraError(f"no camera is set: give camera.uri (or --camera) one of {FORMS}")
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise CameraError(f"camera {redact(text)!r} contains a control character: write it on one line, without tabs")
    if text.isdecimal():
        raise CameraError(f'camera "{text}" is only a number: did you mean usb:{text}?')
    scheme = _SCHEME.match(text)
    return _parse_scheme(scheme[1].lower(), text, text[scheme.end() :]) if scheme else _parse_path(text)


def redact(text: str) -> str:
    """The address without its passwords; errs on the side of hiding too much."""
    scheme = _SCHEME.match(text)
    if not scheme:
        return text
    head, rest = text[: scheme.end()], text[scheme.end() :]
    # The last @ of all, not of the host part: a password with an unencoded slash must not be shown either.
    userinfo, at, address = rest.rpartition("@")
    if at:
        user, colon, _ = userinfo.partition(":")
        userinfo = f"{user}:***" if colon else "***"
    return head + userinfo + at + _SECRET.sub(r"\1***", address)


def _parse_scheme(scheme: str, text: str, rest: str) -> CameraUri:
    if scheme in _STREAMS:
        return _parse_stream(scheme, text)
    if scheme == "usb":
        return CameraUri("v4l2", f"/dev/video{_number(text, rest)}", text)
    if scheme == "picamera":
        return CameraUri("picamera", str(_number(text, rest or "0")), text)
    if scheme == "file":
        return _parse_path(unquote(rest))
    if scheme == "demo":
        if rest and not rest.startswith("?"):
            raise CameraError(f"camera {text}: knobs come after a question mark, as in demo:?seed=3&light=0.4")
        return CameraUri("rendered", rest[1:], text)
    raise CameraError(
        f'camera {redact(text)}: "{scheme}:" is no kind of camera; use {FORMS} (./ before a file name with a colon)'
    )


def _number(text: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 3):
        raise CameraError(f"camera {text}: a number from 0 to 999 must follow the colon, as in usb:0")
    return int(digits)


def _parse_path(text: str) -> CameraUri:
    return CameraUri("v4l2" if text.startswith("/dev/") else "path", text, text)


def _parse_stream(scheme: str, text: str) -> CameraUri:
    shown = redact(text)
    if " " in text:
        raise CameraError(f"camera {shown}: a URL has no spaces; write them as %20")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as fault:
        raise CameraError(f"camera {shown}: {_explain(text, str(fault))}") from fault
    if not host:
        raise CameraError(f"camera {shown}: the host is missing, as in {scheme}://192.168.1.20/path")
    _refuse_split_password(parts, shown)
    return CameraUri("stream", text, shown, host, port or _STREAMS[scheme])


def _explain(text: str, fault: str) -> str:
    if "@" in text and "port" in fault.lower():
        return "user, password or port cannot be read; in a password write / as %2F, @ as %40, # as %23, ? as %3F"
    return "the port must be a number from 1 to 65535" if "port" in fault.lower() else "this URL cannot be read"


def _refuse_split_password(parts: SplitResult, shown: str) -> None:
    """``rtsp://user:12/34@host``: everything after the slash would be taken for the path, and "user" for the host."""
    if parts.port is not None and "@" not in parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        raise CameraError(f"camera {shown}: in a password write / as %2F, @ as %40, # as %23, ? as %3F")
