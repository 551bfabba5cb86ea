"""What the fleet wants this board to be: settings over those of the file, kept over a restart.

A rising ``rev`` says which word is the newest; an old one is ignored, a bad one is reported and what was stays. All of
a revision is applied, or nothing of it. Owned by the thread "writer".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Config, overlaid, why_not_live
from agent.errors import ConfigError
from agent.files import write_whole
from agent.records import Desired, Standing
from agent.wording import no_json

log = logging.getLogger("agent.desired")

FILE_NAME = "desired.json"

Apply = Callable[[Config, Mapping[str, Any]], None]
"""Puts settings in force, told too what of them is desired. Raises ConfigError, with nothing changed."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The revision in force, as it is kept."""

    rev: int = 0
    config: dict[str, Any] = {}


class Overlay:
    """The settings of the file with what is desired over them.

    Args:
        base: the settings of the file.
        folder: where the revision in force is kept; None: it is forgotten with the process.
        bundle: what the model in use is called.

    Attributes:
        config: the settings in force.
    """

    def __init__(self, base: Config, folder: Path | None, bundle: str = "") -> None:
        self.config = base
        self.bundle = bundle
        self._base = base
        self._path = folder / FILE_NAME if folder else None
        self._stored = Stored()
        self._rev_seen = 0
        self._error = ("", "")
        self._apply: Apply = lambda _config, _changes: None
        self._report: Callable[[Standing], None] = lambda _: None
        self._restore()

    @property
    def changes(self) -> Mapping[str, Any]:
        """What is desired over the file, by dotted name."""
        return self._stored.config

    @property
    def is_active(self) -> bool:
        """Something is desired that the file does not say."""
        return bool(self._stored.config)

    def give_up(self, error: ConfigError) -> None:
        """What was desired before the start cannot be in force any more: the file's settings are."""
        log.warning("what was desired before is not in force: %s", error)
        self.config, self._error = self._base, ("not-restored", str(error))
        self._stored, self._rev_seen = Stored(), 0  # the broker may say the same again, and hear why not

    def start(self, apply: Apply, report: Callable[[Standing], None]) -> None:
        """Says how it stands, now and after each change; ``apply`` puts settings in force, or raises ConfigError."""
        self._apply, self._report = apply, report
        self._say()

    def take(self, desired: Desired) -> None:
        """A new word from the fleet."""
        if desired.problem:
            self._refuse("bad-desired", desired.problem)
        elif desired.rev is None:
            self._forget()
        elif desired.rev > self._rev_seen:
            self._rev_seen = desired.rev
            self._judge(desired)

    def _judge(self, desired: Desired) -> None:
        parts = f"not supported yet: {', '.join(desired.unsupported)}" if desired.unsupported else ""
        strange = parts or why_not_live(desired.config)
        if strange:
            self._refuse("unsupported", strange)
            return
        try:
            config = overlaid(self._base, desired.config)
        except ConfigError as error:
            self._refuse("bad-config", str(error))
            return
        self._put_in_force(config, Stored(rev=self._rev_seen, config=desired.config))

    def _forget(self) -> None:
        if self._rev_seen or self._error[0]:
            self._rev_seen = 0
            self._put_in_force(self._base, Stored())

    def _put_in_force(self, config: Config, stored: Stored) -> None:
        if stored.config != self._stored.config:
            try:
                self._apply(config, stored.config)
            except ConfigError as error:
                self._refuse("bad-config", str(error))
                return
            log.info("settings in force: %s over the file", stored.config or "nothing")
        self.config, self._stored, self._error = config, stored, ("", "")
        self._keep()
        self._say()

    def _refuse(self, code: str, message: str) -> None:
        log.warning("desired: %s: %s", code, message)
        self._error = (code, message)
        self._say()

    def _say(self) -> None:
        code, message = self._error
        self._report(
            Standing(
                rev_seen=self._rev_seen,
                rev_applied=self._stored.rev,
                phase="failed" if code else "applied" if self._stored.rev else "idle",
                error_code=code,
                error_message=message,
                bundle=self.bundle,
                config=self._stored.config,
            )
        )

    def _restore(self) -> None:
        try:
            data = self._path.read_bytes() if self._path else b"{}"
            stored = msgspec.json.decode(data, type=Stored)
            self.config = overlaid(self._base, stored.config)
        except FileNotFoundError:
            return
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._lose(no_json(error, Stored))
            return
        except (OSError, ValueError, ConfigError) as error:
            self._lose(str(error))
            return
        self._stored, self._rev_seen = stored, stored.rev

    def _lose(self, why: str) -> None:
        log.warning("what was desired before is not in force: %s", why)
        self._error = ("not-restored", why)

    def _keep(self) -> None:
        if self._path is None:
            return
        try:
            write_whole(self._path, msgspec.json.encode(self._stored))
        except OSError as error:
            log.warning("%s: cannot be written (%s): in force until the agent ends", self._path, error.strerror)
