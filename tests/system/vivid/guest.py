"""Runs inside the guest, as the only program: the camera stage against the kernel's vivid device.

Prints one line per check, ``VIVID ok NAME ...`` or ``VIVID FAILED NAME ...``, and ``VIVID done COUNT`` at the end.
Plain Python: the guest has no pytest. Emulated and slow: only long times are judged.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import pairwise

import cv2

from agent.camera import Camera, check
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import CameraStatus, Frame

DEVICE = "/dev/video0"
STALL_S = 3.0
CHECKS: list[Callable[[], str]] = []


def checked(function: Callable[[], str]) -> Callable[[], str]:
    CHECKS.append(function)
    return function


def control(**values: int) -> None:
    """Turn the knobs of the camera."""
    for name, value in values.items():
        subprocess.run(["v4l2-ctl", "-d", DEVICE, "-c", f"{name}={value}"], check=True, stdout=subprocess.DEVNULL)


def expect(what: str, *, that: bool) -> None:
    if not that:
        raise AssertionError(what)


def settings(**more: object) -> CameraConfig:
    timing = {"read_timeout_s": 2.0, "stall_s": STALL_S, "reconnect_min_s": 0.25, "reconnect_max_s": 1.0}
    return CameraConfig(uri=DEVICE, width=640, height=480, fps=15.0, **(timing | more))  # type: ignore[arg-type]


class Viewer:
    """A camera that is read all the time."""

    def __init__(self, config: CameraConfig) -> None:
        self.states: list[str] = []
        self.frames: list[Frame] = []
        self.count = 0
        self.camera = Camera(config, on_state=self._note)

    def _note(self, status: CameraStatus) -> None:
        self.states.append(status.state)

    def watch(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Read until then; how long it took."""
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < seconds and not until():
            frame = self.camera.read(0.2)
            if frame is not None:
                self.count += 1
                self.frames = [*self.frames[-20:], frame]
        return time.monotonic() - begun_s

    def await_state(self, state: str, seconds: float) -> float:
        took_s = self.watch(seconds, lambda: self.states[-1:] == [state])
        expect(
            f"{state} within {seconds} s; saw {self.states}, {self.camera.status()}", that=self.states[-1:] == [state]
        )
        return took_s


@contextlib.contextmanager
def viewing(**more: object) -> Iterator[Viewer]:
    viewer = Viewer(settings(**more))
    viewer.camera.start()
    try:
        viewer.await_state("streaming", 20.0)
        yield viewer
    finally:
        expect("the thread ends", that=viewer.camera.stop(10.0))


@checked
def frames_arrive() -> str:
    with viewing() as viewer:
        viewer.watch(5.0)
        expect("about fifteen frames a second", that=45 <= viewer.count <= 90)
        frames = viewer.frames
        expect("BGR of the size asked for", that=all(frame.pixels.shape == (480, 640, 3) for frame in frames))
        times = [frame.captured_s for frame in frames]
        expect("times rise", that=times == sorted(set(times)))
        expect("numbers rise", that=all(a.sequence < b.sequence for a, b in pairwise(frames)))
        age_s = time.monotonic() - times[-1]
        expect(f"fresh: {age_s}", that=age_s < 0.5)
        status = viewer.camera.status()
        expect(f"nothing is corrupt: {status}", that=status.corrupt_total == status.reconnects_total == 0)
        return f"{viewer.count / 5.0:.1f} frames a second"


@checked
def the_drivers_time_stamps_are_used() -> str:
    control(timestamp_source=1)  # start of exposure: in the past, as a real camera's
    try:
        with viewing() as viewer:
            viewer.watch(3.0)
            times_us = [frame.captured_s * 1e6 for frame in viewer.frames]
            # V4L2 stamps in whole microseconds, our own clock in nanoseconds.
            expect(f"{times_us}", that=all(abs(time_us - round(time_us)) < 0.01 for time_us in times_us))
            return f"{len(times_us)} of {len(times_us)}"
    finally:
        control(timestamp_source=0)


@checked
def pixel_formats() -> str:
    for fourcc in ("MJPG", "YUYV", "NV12", "BGR3", ""):  # vivid has no MJPG
        size = check(settings(fourcc=fourcc))[:2]
        expect(f"{fourcc}: {size}", that=size == (640, 480))
    small = check(CameraConfig(uri="usb:0", width=320, height=180))[:2]
    expect(f"another size: {small}", that=small == (320, 180))
    return "MJPG (absent), YUYV, NV12, BGR3, none"


@checked
def a_link_by_id_works() -> str:
    os.makedirs("/dev/v4l/by-id", exist_ok=True)  # noqa: PTH103 - a bare guest
    os.symlink(DEVICE, "/dev/v4l/by-id/usb-vivid-index0")  # noqa: PTH211
    width, height, _ = check(CameraConfig(uri="/dev/v4l/by-id/usb-vivid-index0"))
    return f"{width}x{height}"


@checked
def a_camera_in_use_is_told() -> str:
    with viewing() as viewer:
        try:
            check(settings())
        except CameraError as fault:
            expect(str(fault), that="in use by another program" in str(fault))
        else:
            raise AssertionError("two programs got the camera")
        before = viewer.count
        viewer.watch(2.0)
        expect("the first one is not disturbed", that=viewer.count > before + 10)
    return "refused, and the first goes on"


@checked
def unplug_and_replug() -> str:
    with viewing() as viewer:
        viewer.watch(1.0)
        held = os.open(DEVICE, os.O_RDWR)  # vivid comes back by itself when the last user lets go
        try:
            control(disconnect=1)
            down_s = viewer.await_state("down", STALL_S + 1.0)
            reason = viewer.camera.status().reason
            before_s, frames = time.process_time(), viewer.count
            viewer.watch(6.0)
            busy_s = time.process_time() - before_s
            expect("no frame from an unplugged camera", that=viewer.count == frames)
            expect(f"no hot loop: {busy_s:.2f} s of processor time in 6 s", that=busy_s < 1.5)
        finally:
            os.close(held)
        up_s = viewer.await_state("streaming", 15.0)
        expect(f"one fault: {viewer.states}", that=viewer.states == ["streaming", "down", "streaming"])
        expect("counted", that=viewer.camera.status().reconnects_total == 1)
        return f"down in {down_s:.1f} s ({reason}), {busy_s:.2f} s busy in 6 s, streaming again in {up_s:.1f} s"


@checked
def a_fatal_streaming_error() -> str:
    with viewing() as viewer:
        control(inject_fatal_streaming_error=1)
        down_s = viewer.await_state("down", STALL_S + 1.0)
        up_s = viewer.await_state("streaming", 15.0)
        return f"down in {down_s:.1f} s, streaming again in {up_s:.1f} s"


@checked
def errors_while_opening() -> str:
    for knob in ("inject_vidioc_reqbufs_error", "inject_vidioc_streamon_error", "inject_vidioc_qbuf_error"):
        with viewing() as viewer:
            control(inject_fatal_streaming_error=1, **{knob: 1})  # the next opening fails, too
            viewer.await_state("down", STALL_S + 1.0)
            viewer.await_state("streaming", 20.0)
    return "reqbufs, streamon, qbuf: recovered each time"


@checked
def damaged_buffers_are_no_loss() -> str:
    with viewing() as viewer:
        before = viewer.count
        for _ in range(5):
            control(inject_v4l2_buf_flag_error=1)
            viewer.watch(0.5)
        expect(f"goes on: {viewer.count - before}", that=viewer.count - before > 15)
        expect(f"{viewer.states}", that=viewer.states == ["streaming"])
        return f"{viewer.camera.status().corrupt_total} counted as corrupt"


@checked
def lost_buffers() -> str:
    try:
        with viewing() as viewer:
            control(percentage_of_dropped_buffers=60)
            viewer.watch(4.0)
            expect(f"sparse frames are no fault: {viewer.states}", that=viewer.states == ["streaming"])
            control(percentage_of_dropped_buffers=100)
            took_s = viewer.watch(STALL_S + 2.0, lambda: viewer.states[-1] != "streaming")
            expect(f"a silent camera is told in {took_s:.1f} s: {viewer.states}", that=took_s <= STALL_S + 1.0)
            control(percentage_of_dropped_buffers=0)
            viewer.await_state("streaming", 20.0)
            return f"told in {took_s:.1f} s: {viewer.states}"
    finally:
        control(percentage_of_dropped_buffers=0)


@checked
def frozen_and_black() -> str:
    try:
        with viewing(frozen_s=3.0, black_s=2.0) as viewer:
            control(osd_text_mode=2, horizontal_movement=3)  # no running clock, no movement
            frozen_s = viewer.await_state("frozen", 8.0)
            control(test_pattern=5)
            black_s = viewer.await_state("black", 8.0)
            control(test_pattern=0, osd_text_mode=0, horizontal_movement=1)
            viewer.await_state("streaming", 8.0)
            expect("no reconnect", that=viewer.camera.status().reconnects_total == 0)
            return f"frozen in {frozen_s:.1f} s, black in {black_s:.1f} s"
    finally:
        control(test_pattern=0, osd_text_mode=0, horizontal_movement=1)


def main() -> None:
    faulthandler.enable()
    print(f"VIVID note OpenCV {cv2.__version__}", flush=True)  # noqa: T201 - the console is the report
    control(horizontal_movement=1)
    for function in CHECKS:
        begun_s = time.monotonic()
        try:
            told = f"VIVID ok {function.__name__} {function()}"
        except (AssertionError, CameraError, OSError, subprocess.CalledProcessError) as fault:
            traceback.print_exc()
            told = f"VIVID FAILED {function.__name__} {fault}"
        print(f"{told} [{time.monotonic() - begun_s:.1f} s]", flush=True)  # noqa: T201
    print(f"VIVID done {len(CHECKS)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
