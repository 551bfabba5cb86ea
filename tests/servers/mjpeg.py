"""A network camera that speaks HTTP MJPEG, and misbehaves when it is told to. Runs in the test's own process.

Each picture carries its number (``read_number``), so that a test can tell how old a frame really is.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import threading
import time
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Mode = Literal["ok", "stall", "silent", "cut", "corrupt", "frozen", "black", "one"]

BITS = 16
CELL = 20


def draw_number(number: int) -> npt.NDArray[np.uint8]:
    """A picture of 320x240 with 16 black or white cells, and a bar that moves."""
    pixels = np.full((240, 320, 3), 90, np.uint8)
    for bit in range(BITS):
        value = 255 if number >> bit & 1 else 0
        pixels[:CELL, bit * CELL : (bit + 1) * CELL] = value
    pixels[100:200, number % 300 : number % 300 + 20] = (0, 180, 240)
    return pixels


def read_number(pixels: npt.NDArray[np.uint8]) -> int:
    """The number in a picture."""
    centre = CELL // 2
    return sum(int(pixels[centre, bit * CELL + centre, 0] > 127) << bit for bit in range(BITS))


class MjpegServer:
    """The camera at ``/stream``; ``/private`` wants admin:hunter2, so does its web ``/page``; everything else is 404.

    Attributes:
        mode: how streams behave from now on; ``silent`` accepts and never answers, ``stall`` stops in mid-stream,
            ``cut`` closes the connection, ``one`` closes it after one picture, ``corrupt`` spoils every tenth picture.
        number: of the newest picture.
        connections: streams begun.
    """

    def __init__(self, fps: float = 25.0) -> None:
        self.mode: Mode = "ok"
        self.number = 0
        self.connections = 0
        self._step_s = 1.0 / fps
        self.closing = threading.Event()
        self._server = _Server(self)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self._tick, daemon=True),
        ]
        self.port = self._server.server_port

    def url(self, path: str = "/stream", user: str = "") -> str:
        return f"http://{user}{'@' if user else ''}127.0.0.1:{self.port}{path}"

    def __enter__(self) -> MjpegServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _tick(self) -> None:
        while not self.closing.wait(self._step_s):
            self.number += 1

    def wait_while(self, mode: Mode) -> None:
        """Hold a stream up while this mode lasts."""
        while self.mode == mode and not self.closing.is_set():
            time.sleep(0.005)

    def jpeg(self) -> bytes:
        """The newest picture, as the mode has it."""
        number = 7 if self.mode == "frozen" else self.number
        pixels = np.zeros((240, 320, 3), np.uint8) if self.mode == "black" else draw_number(number)
        content = cv2.imencode(".jpg", pixels)[1].tobytes()
        return b"\xff\xd8 spoilt" + bytes(300) if self.mode == "corrupt" and self.number % 10 == 0 else content


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, camera: MjpegServer) -> None:
        self.camera = camera
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(b"admin:hunter2").decode()
        if self.path not in ("/stream", "/private", "/page"):
            self.send_error(404)
        elif self.path != "/stream" and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/page":
            self._send_page()
        else:
            with contextlib.suppress(OSError):
                self._stream(self.server.camera)

    def _send_page(self) -> None:
        page = b"<html>Please log in.</html>" * 20
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _stream(self, camera: MjpegServer) -> None:
        camera.connections += 1
        camera.wait_while("silent")
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        sent = -1
        while not camera.closing.is_set() and camera.mode != "cut":
            camera.wait_while("stall")
            if camera.number == sent:
                time.sleep(0.002)
                continue
            sent = camera.number
            self._send(camera.jpeg())
            if camera.mode == "one":
                return

    def _send(self, content: bytes) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
        self.wfile.write(head.encode() + content + b"\r\n")
