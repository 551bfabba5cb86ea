"""The whole thing, shown: a broker, the agent on the rendered camera, and the live page; one command, nothing to set.

Everything that is started here is ended here: at the end of the time, on Ctrl-C, and when this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from agent import embedded
from agent.errors import StorageError, UnavailableError
from tools.broker import Broker, local_broker
from tools.processes import end, running

CAMERA = f"{embedded.ADDRESS}?drift=dim@30s"
"""After half a minute the light begins to drop, so that there is something to see."""

PORT = 8765
"""Of the page, when it is free."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGENT = [sys.executable, "-m", "agent", "run", "--loop"]


def run(
    *,
    camera: str = CAMERA,
    bundle: str = embedded.ADDRESS,
    model: Path | None = None,
    seconds: float | None = None,
    port: int | None = None,
    open_browser: bool = True,
) -> int:
    """Start everything, and end it.

    Args:
        camera: what the agent watches.
        bundle: what it runs; taken when ``model`` is None.
        model: a ``.tflite`` instead.
        seconds: end after so many; None: on Ctrl-C.
        port: of the page; None: a free one.
        open_browser: show the page, where there is a screen.

    Returns:
        The agent's exit code.

    Raises:
        UnavailableError: something that is needed is not installed or does not start.
        StorageError: there is no folder for temporary files.
    """
    try:
        from tools.fleet.collector import Collector  # noqa: PLC0415  # an extra
        from tools.fleet.server import make_app  # noqa: PLC0415
        from tools.fleet.web import listen, serving  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnavailableError(f"{error.name} is not installed: pip install 'edge-agent[demo]'") from None
    with _stop_on_signal() as stop, contextlib.ExitStack() as started:
        folder = _folder(started)
        listener = listen(port, PORT)
        broker = started.enter_context(local_broker(folder))
        collector = Collector("127.0.0.1", broker.port)
        collector.start()
        started.callback(collector.stop)
        page = started.enter_context(serving(make_app(collector), listener))
        what = ["--camera", camera, *(["--model", str(model)] if model else ["--bundle", bundle])]
        limit = [] if seconds is None else ["--seconds", str(seconds)]
        child = started.enter_context(running([*_AGENT, "--config", str(_settings(folder, broker)), *what, *limit]))
        # What the agent refuses (a camera, a bundle) it says at once, and alone; else its health card comes.
        is_up = _wait(child, lambda: stop.is_set() or any(board["camera"] for board in collector.view()))
        if is_up and not stop.is_set():
            _greet(page, broker, seconds, is_dimming=camera == CAMERA, is_moved=not (port or f":{PORT}/" in page))
            if open_browser and has_screen():
                webbrowser.open(page)
            _wait(child, stop.is_set)
            typer.echo("\nending everything")
        code = end(child)
    # Asked to end before it could listen for that, the agent dies of the signal: that is no failure.
    return 0 if stop.is_set() and code == -signal.SIGTERM else code


def has_screen() -> bool:
    """A graphical browser could be shown; one in the terminal would be in the way."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _folder(started: contextlib.ExitStack) -> Path:
    try:
        return Path(started.enter_context(tempfile.TemporaryDirectory(prefix="edge-demo-")))
    except OSError as error:
        raise StorageError(f"no folder for temporary files: {error.strerror}; set TMPDIR to one") from None


def _settings(folder: Path, broker: Broker) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f'[device]\nsite = "demo"\nid = "board"\nstate_dir = "{folder}/state"\n'
        f"[measure]\nwindow_s = 2\nsensors_s = 2\n"
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\nhealth_s = 5\nprofile = "live"\nresolution_s = 0\n',
        encoding="utf-8",
    )
    return path


def _greet(page: str, broker: Broker, seconds: float | None, *, is_dimming: bool, is_moved: bool) -> None:
    number = page.rstrip("/").rpartition(":")[2]
    moved = f"   (port {PORT} is taken)" if is_moved else ""
    typer.echo(f"live page      {page}{moved}")
    if "SSH_CONNECTION" in os.environ:
        typer.echo(f"               from your own machine first: ssh -L {number}:127.0.0.1:{number} THIS-MACHINE")
    typer.echo(f"messages       {broker.name} on 127.0.0.1:{broker.port}, topics edge/v1/demo/board/#")
    if is_dimming:
        typer.echo("what to see    after 30 s the light begins to drop; watch what becomes of the detector")
    typer.echo(f"end            {'Ctrl-C' if seconds is None else f'after {seconds:g} s, or Ctrl-C'}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    stop = threading.Event()
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in _SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait(child: subprocess.Popen[bytes], until: Callable[[], bool]) -> bool:
    """Wait for something; False when the child ended before it."""
    while not until():
        if child.poll() is not None:
            return False
        time.sleep(0.1)
    return True
