"""A network camera that speaks RTSP, in a process of its own so that it can be stopped, killed and started again.

Run by the system's Python, which has GStreamer's bindings: ``/usr/bin/python3 rtsp.py PORT [private]`` prints its port
and serves ``/h264`` and ``/jpeg`` at 15 frames a second on 127.0.0.1 until it is killed; ``private`` wants
admin:hunter2.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

PYTHON = "/usr/bin/python3"


class RtspServer:
    """The process, for tests."""

    def __init__(self, *, private: bool = False) -> None:
        self.port = 0
        self._private = private
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}{'@' if user else ''}127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        """Start, on the port of last time if there was one."""
        command = [PYTHON, str(Path(__file__)), str(self.port), "private" if self._private else ""]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line.isdecimal(), f"the RTSP server did not start: {line!r}"
        self.port = int(line)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def available() -> str:
    """Why the server cannot run here, or nothing."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not Path(PYTHON).exists():
        return f"no {PYTHON}"
    done = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else "the system's Python has no gst-rtsp-server (gir1.2-gst-rtsp-server-1.0)"


def serve(port: str, *, private: bool) -> None:
    """Serve until killed."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    raw = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
    h264 = f"( {raw} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
    jpeg = f"( {raw} ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
    for path, launch in (("/h264", h264), ("/jpeg", jpeg)):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_shared(True)
        server.get_mount_points().add_factory(path, factory)
        if private:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("user", "media.factory.access", True)
            permissions.add_permission_for_role("user", "media.factory.construct", True)
            factory.set_permissions(permissions)
    if private:
        auth, user = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        user.set_string("media.factory.role", "user")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic("admin", "hunter2"), user)
        server.set_auth(auth)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201 - how the test learns the port
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(sys.argv[1], private=sys.argv[2:] == ["private"])
