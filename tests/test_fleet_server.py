"""The page's server without a fleet: what it refuses, and what it tells a browser to refuse."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from tools.fleet.collector import Collector
from tools.fleet.server import make_app
from tools.fleet.web import listen, serving


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = listen(None)
    with serving(make_app(Collector("127.0.0.1", 1)), listener) as address:
        yield int(address.rstrip("/").rpartition(":")[2])


def ask(port: int, path: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    return answer, answer.read()


def test_the_page_may_load_nothing_from_elsewhere(port: int) -> None:
    answer, page = ask(port, "/")
    assert answer.status == 200
    assert b"<title>edge-agent fleet</title>" in page
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "script" not in policy, "scripts fall under default-src: no inline ones"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"http" not in page, "no address of another site"


def test_a_name_that_is_not_ours_gets_nothing(port: int) -> None:
    """DNS rebinding: a page of another site asks under its own name, which it lets point to loopback."""
    for host in ("evil.example", "127.0.0.1.evil.example"):
        answer, text = ask(port, "/api/boards", host)
        assert answer.status == 400
        assert b"[" not in text
    assert ask(port, "/api/boards", "localhost")[0].status == 200


def test_an_unknown_board_is_said_to_be_so_at_once(port: int) -> None:
    answer, text = ask(port, "/api/boards/home/nobody/frame")
    assert (answer.status, text) == (404, b"no such board")
    assert json.loads(ask(port, "/api/boards/home/nobody/history")[1]) == []
    assert json.loads(ask(port, "/api/boards")[1]) == []


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd", "/nothing"]
)
def test_only_the_pages_own_files_are_served(port: int, path: str) -> None:
    assert ask(port, path)[0].status == 404
    assert ask(port, "/static/page.js")[0].status == 200


def test_nothing_can_be_written(port: int) -> None:
    for path in ("/", "/api/boards", "/api/boards/home/nobody/frame"):
        assert ask(port, path, method="POST")[0].status == 405
