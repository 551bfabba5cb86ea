"""The live page: starlette serves it, one event a second carries every board.

Listens on loopback. Nothing that a board says becomes markup: the page puts text in as text.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agent.publish.contract import Reply
from tools.fleet.collector import Collector

STATIC = Path(__file__).parent / "static"
_FRAME_TIMEOUT_S = 3.0
_FRAME_FRESH_S = 0.25
_LOOKS_A_SECOND = 10
"""How often a stream looks whether it is to end."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def make_app(collector: Collector) -> Starlette:
    """The page and its data, from what the collector knows.

    ``app.state.stopping`` ends the streams, which would else be cut off in the middle.
    """

    async def index(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers=_HEADERS)

    async def boards(_: Request) -> Response:
        return JSONResponse(collector.view())

    async def stream(request: Request) -> Response:
        return StreamingResponse(_events(collector, request), media_type="text/event-stream", headers=_NO_STORE)

    async def history(request: Request) -> Response:
        return JSONResponse(collector.history(request.path_params["site"], request.path_params["device"]))

    frames = Frames(collector)

    async def frame(request: Request) -> Response:
        site, device = request.path_params["site"], request.path_params["device"]
        if not collector.knows(site, device):
            return PlainTextResponse("no such board", 404)
        return await frames.newest(site, device)

    routes = [
        Route("/", index),
        Route("/api/boards", boards),
        Route("/api/stream", stream),
        Route("/api/boards/{site}/{device}/history", history),
        Route("/api/boards/{site}/{device}/frame", frame),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    # A page of another site must not read a board through a name that resolves to loopback.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app = Starlette(routes=routes, middleware=[hosts])
    app.state.stopping = threading.Event()
    return app


class Frames:
    """The newest picture of each board: asked for once, however many pages look at it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._kept: dict[tuple[str, str], tuple[float, Response]] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def newest(self, site: str, device: str) -> Response:
        """A JPEG with boxes at most :data:`_FRAME_FRESH_S` old, or a sentence that says why there is none."""
        key = (site, device)
        async with self._locks[key]:
            asked_s, response = self._kept.get(key, (-_FRAME_FRESH_S, None))
            if response is None or time.monotonic() - asked_s > _FRAME_FRESH_S:
                reply = await run_in_threadpool(self._collector.ask, site, device, "snapshot", _FRAME_TIMEOUT_S)
                response = _picture(reply)
                self._kept[key] = (time.monotonic(), response)
            return response


def _picture(reply: Reply | None) -> Response:
    if reply is None:
        return PlainTextResponse("the board does not answer", 504)
    picture = reply.data.get("jpeg")
    if reply.status != "succeeded" or not isinstance(picture, str):
        return PlainTextResponse(reply.message, 503)
    try:
        content = base64.b64decode(picture, validate=True)
    except ValueError:
        return PlainTextResponse("the board sent no picture", 502)
    headers = {**_NO_STORE, "X-Sees": quote(str(reply.data.get("sees", "")))}
    return Response(content, media_type="image/jpeg", headers=headers)


_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


async def _events(collector: Collector, request: Request) -> AsyncIterator[str]:
    stopping: threading.Event = request.app.state.stopping
    while not (stopping.is_set() or await request.is_disconnected()):
        yield f"data: {json.dumps(collector.view())}\n\n"
        for _ in range(_LOOKS_A_SECOND):
            if not stopping.is_set():
                await asyncio.sleep(1 / _LOOKS_A_SECOND)
