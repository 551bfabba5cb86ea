"""The correction of the light at work: learns the reference, follows the day, keeps both, and tells of each change.

A correction that lies over the model is watched whatever the mode: it was made for one light, and is held back in
another one (:class:`agent.recalibrate.hold.Watch`).

``look`` is called on the telemetry thread after each reading of the sensors, ``relearn`` and ``reconfigure`` on the
thread "writer"; one lock is between them. The inference loop takes no part: a correction is in force from the frame on
that is prepared after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from agent.config import CorrectionConfig
from agent.errors import ConfigError, UnavailableError
from agent.following.say import WHY, sentence, words
from agent.preprocess import Preprocessor
from agent.publish import Publisher
from agent.recalibrate.follow import Follower, Pace
from agent.recalibrate.hold import Watch
from agent.recalibrate.learn import Learner
from agent.recalibrate.levels import Light, look
from agent.recalibrate.reference import KeptCorrection, digest
from agent.recalibrate.shelf import Shelf
from agent.recalibrate.typical import unpack
from agent.records import (
    CameraStatus,
    ChangeCause,
    Correction,
    FrameResult,
    LightChange,
    LightState,
    LightStatus,
    Pixels,
)

log = logging.getLogger("agent.light")


class Following:
    """Learns and follows the light.

    Args:
        config: the ``[correction]`` table.
        preprocess: what corrections are put in force at.
        shelf: what is known of the light, over a restart.
        publisher: told of changes; None without a broker.
        clock: monotonic seconds.
        typical: the light that a correction of the model leads to, as :mod:`agent.recalibrate.typical` packs it;
            empty: not known.

    Attributes:
        status: how it stands; read on any thread.
    """

    def __init__(
        self,
        config: CorrectionConfig,
        preprocess: Preprocessor,
        shelf: Shelf,
        publisher: Publisher | None,
        clock: Callable[[], float],
        *,
        typical: str = "",
    ) -> None:
        self._config, self._preprocess, self._shelf = config, preprocess, shelf
        self._publisher, self._clock = publisher, clock
        self._base, self._typical = preprocess.correction or Correction(), typical
        self._lock = threading.Lock()
        self._learner: Learner | None = None
        self._follower: Follower | None = None
        self._watch: Watch | None = None
        self._reference = ""
        self._sequence = -1
        self._why = ""
        self._is_told_small = self._is_told_unwatched = False
        self._begin()
        self.status = self._standing()

    def look(self, camera: CameraStatus, newest: FrameResult | None) -> None:
        """Look at the newest frame, where that is due; what was looked at before says nothing new."""
        with self._lock:
            self._look(camera, newest)
            self._shelf.retry()
            self.status = self._standing()

    def relearn(self) -> str:
        """Forget the reference, and learn it anew; says how long that takes.

        Raises:
            ConfigError: the light is not followed here.
            UnavailableError: a correction that belongs to the model is in force.
            StorageError: the reference cannot be removed; nothing has changed.
        """
        with self._lock:
            config = self._config
            if config.mode == "off":
                raise ConfigError('correction.mode is "off": no light is learned here')
            if not self._base.is_identity:
                raise UnavailableError(
                    "a correction lies over the model, so this is not the light that it was right in; take it back "
                    "first (edge-agent recalibrate --undo), then learn"
                )
            self._shelf.forget()
            self._take_back("relearn")
            self._learn(None)
            self.status = self._standing()
            return f"learns the light from {config.learn_frames} frames within {config.learn_s:g} s or more"

    def reconfigure(self, config: CorrectionConfig) -> None:
        """Other settings from now on."""
        with self._lock:
            before, self._config = self._config, config
            if config.mode != before.mode:
                self._take_back("off", is_acted=before.mode == "act")
                self._learner = self._follower = None
                self._begin()
            elif self._follower is not None:
                self._follower.pace = pace_of(config)
            if self._watch is not None:
                self._watch.every_s = config.every_s
            self.status = self._standing()

    @property
    def _loaded(self) -> Correction:
        """What is in force where nobody follows: what the model was loaded with, unless that is held back."""
        return self._base if self._watch is None else self._watch.in_force

    @property
    def _is_acted(self) -> bool:
        return self._config.mode == "act"

    def _begin(self) -> None:
        """From what is kept: a reference is followed from where it was, and one that is not known is learned."""
        reference = None if self._config.mode == "off" else self._shelf.light()
        start = self._kept(reference)
        if reference is not None:
            self._follow(reference, start)
        elif self._config.mode != "off":
            self._learn(self._shelf.part())
        if self._is_acted and reference is not None:
            self._watch = None  # whoever follows lets go by itself
        elif self._watch is None and not self._base.is_identity:
            self._watch = self._watching(reference)

    def _watching(self, reference: Light | None) -> Watch | None:
        """Whatever the mode: a correction of the model was made for one light, and is watched in every other."""
        if self._typical:
            return Watch(self._base, unpack(self._typical), self._config.every_s)
        kept = reference or self._shelf.light()
        if kept is not None and kept.shows.any():
            return Watch(self._base, kept.some(kept.shows).typical(), self._config.every_s)
        if not self._is_told_unwatched:
            log.warning(
                "the correction that lies over the model (%s) stays in force in any light: its record does not say for "
                "which light it was made, and none is learned here; make it anew with `edge-agent recalibrate`",
                words(self._base),
            )
        self._is_told_unwatched = True
        return None

    def _kept(self, reference: Light | None) -> Correction:
        """What was in force before, unless it belongs to something else: then what the model was loaded with."""
        kept, loaded = self._shelf.correction(), self._loaded
        if kept is None:
            return loaded
        is_mine = reference is not None and kept.reference == digest(reference) and kept.base == self._base
        if self._is_acted and is_mine:
            return kept.correction
        self._shelf.forget_correction()
        if kept.correction != loaded:
            self._tell(self._change("dropped" if self._is_acted else "off", kept.correction, loaded))
        return loaded

    def _learn(self, part: Light | None) -> None:
        config = self._config
        self._learner = Learner(config.learn_frames, config.learn_s, part)
        self._follower = None
        before = f", of which {self._learner.count} are there from before" if self._learner.count else ""
        log.info(
            "the light of this place is not known: it is learned from %d frames within %g s or more%s",
            *(config.learn_frames, config.learn_s, before),
        )

    def _follow(self, reference: Light, start: Correction) -> None:
        self._learner, self._reference = None, digest(reference)
        self._follower = Follower(reference, start, pace_of(self._config))
        if self._is_acted:
            self._put(start)

    def _look(self, camera: CameraStatus, newest: FrameResult | None) -> None:
        now_s = self._clock()
        judges = (self._watch, None if self._is_blocked else self._learner or self._follower)
        if not any(judge is not None and judge.is_due(now_s) for judge in judges):
            return
        light = None
        if camera.state == "streaming":
            if newest is None or newest.frame.sequence == self._sequence:
                return
            self._sequence = newest.frame.sequence
            light = self._light(newest.frame.pixels)
        watched = self._watch.see(now_s, light) if self._watch is not None else None
        if watched is not None:
            self._put(watched.correction)
            self._tell(watched)
        if self._is_blocked:
            return
        if self._learner is not None:
            self._take_in(self._learner, now_s, light)
        elif self._follower is not None and (change := self._follower.see(now_s, light)) is not None:
            is_said = watched is not None and watched.correction == change.correction
            self._obey(replace(change, is_acted=self._is_acted), is_said=is_said)

    @property
    def _is_blocked(self) -> bool:
        """The reference is the light as the camera gives it, where the model is right with it: not a corrected one."""
        return self._learner is not None and not self._base.is_identity

    def _light(self, pixels: Pixels) -> Light | None:
        try:
            return look([pixels])
        except ValueError as error:
            if not self._is_told_small:
                log.warning("the light cannot be seen: %s", error)
            self._is_told_small = True
            return None

    def _take_in(self, learner: Learner, now_s: float, light: Light | None) -> None:
        was_taken, seen = learner.see(now_s, light), learner.seen
        if seen is None:
            return
        if learner.is_done:
            self._shelf.keep_light(seen)
            log.info("the light of this place is known now, from %d frames", len(seen))
            self._follow(seen, self._base)
        elif was_taken:
            self._shelf.keep_part(seen)

    def _obey(self, change: LightChange, *, is_said: bool) -> None:
        if change.is_acted:
            self._put(change.correction)
            kept = KeptCorrection(reference=self._reference, base=self._base, correction=change.correction)
            self._shelf.keep_correction(kept)
        if not is_said:
            self._tell(change)

    def _take_back(self, why: ChangeCause, *, is_acted: bool | None = None) -> None:
        """What was followed to is in force no more; what the model was loaded with is again."""
        if self._follower is None:
            return
        acted = self._is_acted if is_acted is None else is_acted
        before, loaded = self._follower.correction, self._loaded
        if acted:
            self._put(loaded)
            self._shelf.forget_correction()
        if before != loaded:
            self._tell(replace(self._change(why, before, loaded), is_acted=acted))

    def _change(self, why: ChangeCause, previous: Correction, correction: Correction) -> LightChange:
        return LightChange(self._clock(), why, previous, correction, correction, 0.0)

    def _put(self, correction: Correction) -> None:
        self._preprocess.correct(None if correction.is_identity else correction)

    def _tell(self, change: LightChange) -> None:
        self._why = WHY[change.why]
        log.info("%s", sentence(change))
        if self._publisher is not None:
            self._publisher.corrected(change)

    @property
    def _state(self) -> LightState:
        if self._learner is not None:
            return "blocked" if self._is_blocked else "learning"
        return "off" if self._follower is None else "known"

    def _standing(self) -> LightStatus:
        learner, follower = self._learner, self._follower
        found = self._preprocess.correction if follower is None else follower.correction
        return LightStatus(
            state=self._state,
            is_acted=self._is_acted or (found or Correction()) == (self._preprocess.correction or Correction()),
            learned=learner.count if learner is not None else 0,
            wanted=learner.frames if learner is not None else 0,
            correction=None if found is None or found.is_identity else found,
            why=self._why,
            held=self._watch.held if self._watch is not None else None,
        )


def pace_of(config: CorrectionConfig) -> Pace:
    """How the settings let a correction move."""
    return Pace(
        every_s=config.every_s,
        fit_s=config.fit_s,
        step_per_min=config.step_per_min,
        dead_band=config.dead_band,
        max_noise=config.max_noise,
    )
