"""How queries come: one after the other, eight at a time, all at once, or as a camera gives them.

``step`` answers one query and says how long each stage took; everything on the calling thread, but for Offline, whose
frames are prepared on a thread of its own as the service does it. The clock is asked four times a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from math import nan
from typing import Protocol

from agent.pipeline import Model
from agent.records import Detections, Frame, Outputs, Pixels, Tensor


@dataclass(frozen=True, slots=True)
class Query:
    """One answered query, in seconds; ``age_s`` is NaN where there is no camera."""

    total_s: float
    preprocess_s: float
    invoke_s: float
    postprocess_s: float
    samples: int = 1
    age_s: float = nan


class Scenario(Protocol):
    """Where queries come from."""

    def step(self) -> Query | None:
        """Answer one query; None: no frame came in time, which only a camera can say."""

    def dropped_total(self) -> int | None:
        """Frames that a newer one replaced so far; None where nothing can be dropped."""

    def has_ended(self) -> bool:
        """No query will come any more."""

    def close(self) -> None:
        """Let go of threads."""


class _Recorded:
    """What scenarios on recorded frames share."""

    def __init__(self, model: Model, frames: tuple[Pixels, ...], clock: Callable[[], float]) -> None:
        self._prepare: Callable[[Pixels], Tensor] = model.preprocess
        self._invoke: Callable[[Tensor], Outputs] = model.detector.invoke
        self._clock = clock
        self._frames = cycle(frames)
        self._places = {frame.shape: model.preprocess.place(*frame.shape[:2]) for frame in frames}
        self._postprocess = model.postprocess

    def dropped_total(self) -> int | None:
        return None

    def has_ended(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def _decode(self, outputs: Outputs, pixels: Pixels) -> Detections:
        return self._postprocess(outputs, self._places[pixels.shape])


class SingleStream(_Recorded):
    """The next frame as soon as the one before is answered."""

    def step(self) -> Query:
        """One frame, preprocess included."""
        clock, pixels = self._clock, next(self._frames)
        begin = clock()
        tensor = self._prepare(pixels)
        prepared = clock()
        outputs = self._invoke(tensor)
        invoked = clock()
        self._decode(outputs, pixels)
        ended = clock()
        return Query(ended - begin, prepared - begin, invoked - prepared, ended - invoked)


class MultiStream(_Recorded):
    """Several frames make one query, as of several cameras; it is answered when the last one is."""

    def __init__(self, model: Model, frames: tuple[Pixels, ...], clock: Callable[[], float], samples: int) -> None:
        super().__init__(model, frames, clock)
        self._one = SingleStream(model, frames, clock)
        self._samples = samples

    def step(self) -> Query:
        """So many frames; the stages are their sums."""
        begin = self._clock()
        parts = [self._one.step() for _ in range(self._samples)]
        ended = self._clock()
        return Query(
            ended - begin,
            sum(part.preprocess_s for part in parts),
            sum(part.invoke_s for part in parts),
            sum(part.postprocess_s for part in parts),
            self._samples,
        )


class Offline(_Recorded):
    """All frames are there from the begin: the next is prepared while this one is inferred. Only throughput counts."""

    def __init__(self, model: Model, frames: tuple[Pixels, ...], clock: Callable[[], float]) -> None:
        super().__init__(model, frames, clock)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._next = self._submit()

    def _submit(self) -> Future[tuple[Pixels, Tensor, float]]:
        pixels, clock = next(self._frames), self._clock

        def prepare() -> tuple[Pixels, Tensor, float]:
            begin = clock()
            tensor = self._prepare(pixels)
            return pixels, tensor, clock() - begin

        return self._pool.submit(prepare)

    def step(self) -> Query:
        """One frame; ``total_s`` is the time between two answers."""
        clock = self._clock
        begin = clock()
        pixels, tensor, preprocess_s = self._next.result()
        self._next = self._submit()
        ready = clock()
        outputs = self._invoke(tensor)
        invoked = clock()
        self._decode(outputs, pixels)
        ended = clock()
        return Query(ended - begin, preprocess_s, invoked - ready, ended - invoked)

    def close(self) -> None:
        """End the preparing thread."""
        self._pool.shutdown(cancel_futures=True)


class FrameSource(Protocol):
    """What the Camera scenario needs of a camera."""

    @property
    def dropped_total(self) -> int:
        """Frames that a newer one replaced."""

    @property
    def ended(self) -> bool:
        """No frame will come any more."""

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame."""


class Paced:
    """The scenario Camera: frames come when they come, and what is too late is dropped."""

    def __init__(self, model: Model, camera: FrameSource, clock: Callable[[], float], timeout_s: float = 0.25) -> None:
        self._model, self._camera, self._clock, self._timeout_s = model, camera, clock, timeout_s
        self._dropped_before = camera.dropped_total

    def step(self) -> Query | None:
        """The newest frame; its age is what a user of the answer feels."""
        clock, model = self._clock, self._model
        frame = self._camera.read(self._timeout_s)
        if frame is None:
            return None
        begin = clock()
        tensor = model.preprocess(frame.pixels) if frame.tensor is None else frame.tensor
        prepared = clock()
        outputs = model.detector.invoke(tensor)
        invoked = clock()
        model.postprocess(outputs, model.preprocess.place(*frame.pixels.shape[:2]))
        ended = clock()
        preprocess_s = frame.preprocess_s + prepared - begin
        total_s = preprocess_s + ended - prepared
        return Query(total_s, preprocess_s, invoked - prepared, ended - invoked, age_s=ended - frame.captured_s)

    def dropped_total(self) -> int | None:
        """Since this scenario began."""
        return self._camera.dropped_total - self._dropped_before

    def has_ended(self) -> bool:
        """The recording that stands in for a camera is over."""
        return self._camera.ended

    def close(self) -> None:
        """The camera belongs to whoever started it."""
