"""The rendered camera as a source: ``demo:?seed=3&light=0.4&blur=2&fps=30&drift=dim@30s``.

==============  ====================================================================================
``seed``        which scene, 0 to 999999
``fps``         frames a second, else ``camera.fps``, else 30
``frames``      end after so many
``drift``       what happens when (:mod:`agent.camera.rendered.script`)
``control``     a file that holds knobs as ``light=0.4&blur=2``; read again whenever it changes
any knob        how it stands at the begin (:class:`agent.camera.rendered.knobs.Knobs`)
==============  ====================================================================================

Frames count, not seconds: whatever the machine's load, frame 900 of a seed shows the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from agent.camera.rendered.knobs import DAY, Knobs, number, read_knobs, read_query
from agent.camera.rendered.renderer import HEIGHT, WIDTH, Renderer
from agent.camera.rendered.script import NOTHING, Script, read_script
from agent.camera.source import Grab
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import Detections, Pixels

log = logging.getLogger("agent.camera")

FPS = 30.0

_LOOK_EVERY = 8
"""Frames between two looks at the control file."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the address and the settings ask for."""

    seed: int = 0
    fps: float = FPS
    frames: int = 0
    width: int = WIDTH
    height: int = HEIGHT
    knobs: Knobs = DAY
    script: Script = NOTHING
    control: str = ""


def read_options(text: str, config: CameraConfig) -> Options:
    """Read what follows ``demo:?``.

    Raises:
        CameraError: not understood, or out of range; the sentence says what is allowed.
    """
    query = read_query(text)
    taken = {name: query.pop(name, "") for name in ("seed", "fps", "frames", "drift", "control")}
    width, height = config.width or WIDTH, config.height or HEIGHT
    if not (160 <= width <= 1920 and 120 <= height <= 1440):
        raise CameraError(f"demo camera: renders from 160 x 120 to 1920 x 1440 pixels, not {width} x {height}")
    return Options(
        seed=int(number("seed", taken["seed"] or "0", 0, 999_999)),
        fps=number("fps", taken["fps"] or str(config.fps or FPS), 0.1, 1000.0),
        frames=int(number("frames", taken["frames"] or "0", 0, 1e9)),
        width=width,
        height=height,
        knobs=read_knobs(query),
        script=read_script(taken["drift"]),
        control=taken["control"],
    )


class Rendered:
    """A camera over the conveyor; a :class:`~agent.camera.source.Recording` that ends only when it is told to.

    ``turn`` may be called from any thread; all else belongs to the camera's.

    Attributes:
        truth: what is really in the picture that ``retrieve`` gave last.
    """

    def __init__(self, options: Options) -> None:
        self.is_still = False
        self.name = ""
        self.corrupt_total = 0
        self.why_lost = ""
        self.truth: Detections | None = None
        self._options = options
        self._renderer = Renderer(options.seed, options.width, options.height)
        self._knobs = options.knobs
        self._control = _Control(Path(options.control)) if options.control else None
        self._index = -1
        self._pixels: Pixels | None = None
        # The first frame draws every part and every lens: that is this camera's start, and no frame's age.
        self._renderer.frame(0, options.knobs)

    @property
    def knobs(self) -> Knobs:
        """As they stand now, the script included; from any thread."""
        return self._options.script.at(self._knobs, self.media_s())

    def turn(self, knobs: Knobs) -> None:
        """Turn the knobs, from the next frame on; the script goes on from there."""
        self._knobs = knobs

    def grab(self) -> Grab:
        """Go on by one frame; it is rendered only when somebody wants it."""
        if self._options.frames and self._index + 1 >= self._options.frames:
            return Grab.ENDED
        self._index += 1
        if self._control is not None and self._index % _LOOK_EVERY == 0:
            self._knobs = self._control.look(self._knobs)
        return Grab.PICTURE

    def media_s(self) -> float:
        """Time of the frame since the begin."""
        return max(self._index, 0) / self._options.fps

    def taken_s(self, now_s: float) -> float:
        """The time of rendering."""
        return now_s

    def retrieve(self) -> Pixels | None:
        """Render the frame; a frozen camera gives the one before, to the bit."""
        knobs = self.knobs
        if knobs.frozen < 0.5 or self._pixels is None:
            self._pixels, self.truth = self._renderer.frame(self._index, knobs, self.media_s())
        return self._pixels

    def close(self) -> None:
        """Nothing is open."""


class _Control:
    """A file of knobs that somebody else writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen_ns = -1
        if not path.exists():
            log.warning("%s: is not there (yet): the knobs stay as they are until it is", path)

    def look(self, knobs: Knobs) -> Knobs:
        """The knobs in the file when it changed, else those given; a file that cannot be used is told once."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._seen_ns:
                return knobs
            self._seen_ns = changed_ns
            return read_knobs(read_query(self._path.read_text(encoding="utf-8").strip()), knobs)
        except FileNotFoundError:
            return knobs
        except (OSError, UnicodeDecodeError, CameraError) as fault:
            log.warning("%s: knobs left as they are: %s", self._path, fault)
            return knobs
