"""Why a network camera could not be opened: OpenCV says only that. One plain connection is made to find out."""

from __future__ import annotations

import base64
import re
import socket
from urllib.parse import unquote, urlsplit

from agent.camera.uri import CameraUri

_STATUS = re.compile(rb"(?:HTTP|RTSP)/\d\.\d (\d{3})([^\r\n]*)")


def why_not(uri: CameraUri, timeout_s: float) -> str:
    """One sentence, without passwords; takes at most about twice ``timeout_s`` (and what the name server needs)."""
    where = f"{uri.host}:{uri.port}"
    try:
        with socket.create_connection((uri.host, uri.port), timeout_s) as connection:
            answer = _ask(connection, uri)
    except socket.gaierror:
        return f"the name {uri.host} is not known here; check it, or use the address"
    except ConnectionRefusedError:
        return f"nothing listens on {where} (connection refused); is the camera on, and the port right?"
    except TimeoutError:
        return f"no answer from {where} within {timeout_s:g} s; is the camera on and in this network?"
    except OSError as fault:
        return f"{where} cannot be reached: {fault.strerror or fault}"
    return _explain(answer, has_password="@" in urlsplit(uri.target).netloc)


def _ask(connection: socket.socket, uri: CameraUri) -> bytes:
    """The first line of the answer to the request that a player would make; empty for TLS, which is not spoken here."""
    parts = urlsplit(uri.target)
    if parts.scheme in ("https", "rtsps"):
        return b""
    if parts.scheme == "rtsp":
        address = parts._replace(netloc=f"{uri.host}:{uri.port}").geturl()
        request = f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n"
    else:
        path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        request = f"GET {path} HTTP/1.0\r\nHost: {uri.host}\r\n"
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request += f"Authorization: Basic {base64.b64encode(secret.encode()).decode()}\r\n"
    connection.sendall(f"{request}\r\n".encode())
    return connection.recv(256)


def _explain(answer: bytes, *, has_password: bool) -> str:
    status = _STATUS.match(answer)
    if not status:
        return "the port is open, but no video came; is this the address of the stream?"
    code, text = int(status[1]), status[2].decode("latin-1").strip()
    if code in (401, 403):
        wrong = (
            "user or password is wrong"
            if has_password
            else "it wants a user and a password: scheme://user:password@host/..."
        )
        return f"the camera refuses us ({code} {text}); {wrong}"
    if code == 404:
        return f"the camera has no such path ({code} {text}); its manual or ONVIF names the stream's path"
    if code >= 400:
        return f"the camera answers {code} {text}"
    return "the camera answers, but not with a video that can be decoded; is this the address of the stream?"
