"""A photometric correction: what is done to the light of a picture before the model sees it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import msgspec
import numpy as np
import numpy.typing as npt

from agent.wording import no_json

LIMITS = {"black": (0.0, 160.0), "gain": (0.1, 40.0), "gamma": (0.25, 4.0), "balance": (0.25, 4.0)}
"""Least and most of each number. Beyond them it is no correction but another picture."""

MOST_BYTES = 300
"""A correction written as JSON is never longer."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Four numbers that fully determine one look-up table a channel; all of them neutral: nothing is done.

    A pixel ``x`` of channel ``c`` becomes ``255 * clip(gain * balance[c] * (x - black) / 255, 0, 1) ** gamma``. That
    never turns light and dark around, whatever the numbers.

    Attributes:
        black: grey level that becomes 0, 0 to 160.
        gain: what the light above it is multiplied by, 0.1 to 40.
        gamma: exponent; below 1 lifts the dark parts, 0.25 to 4.
        balance: gain of each channel on top, blue, green, red, 0.25 to 4.
    """

    black: float = 0.0
    gain: float = 1.0
    gamma: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.balance) != 3:
            raise ValueError(f"balance has {len(self.balance)} numbers; it takes blue, green and red")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            for number in value if name == "balance" else (value,):
                if not low <= number <= high:
                    raise ValueError(f"{name} {number:g} is not within {low:g} to {high:g}")

    @property
    def is_identity(self) -> bool:
        """It changes no pixel."""
        return bool((self.table() == np.arange(256).reshape(256, 1, 1)).all())

    def apply(self, levels: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Corrected grey levels, not rounded; the last axis of ``levels`` is blue, green, red."""
        light = self.gain * np.array(self.balance) * (levels.astype(np.float64) - self.black) / 255
        return np.asarray(255 * np.clip(light, 0.0, 1.0) ** self.gamma, np.float64)

    def curve(self) -> npt.NDArray[np.float64]:
        """What each of the 256 grey levels becomes, not rounded: float64 (256, 3), blue, green, red."""
        return self.apply(np.repeat(np.arange(256.0), 3).reshape(256, 3))

    def table(self) -> npt.NDArray[np.uint8]:
        """The same as a look-up table of OpenCV: uint8 (256, 1, 3)."""
        return np.asarray(np.rint(self.curve()), np.uint8).reshape(256, 1, 3)

    def to_json(self) -> bytes:
        """As an object of its four numbers, at most :data:`MOST_BYTES`."""
        return msgspec.json.encode(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Correction:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: it is too long, is no such object, or a number is out of its limits.
        """
        if len(data) > MOST_BYTES:
            raise ValueError(f"a correction has at most {MOST_BYTES} bytes, and this has {len(data)}")
        try:
            raw = msgspec.json.decode(data, type=dict[str, float | tuple[float, float, float]])
            unknown = sorted(raw.keys() - {field.name for field in fields(cls)})
            if unknown:
                raise ValueError(f"a correction has no {unknown[0]!r}")
            return msgspec.convert(raw, cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"no correction: {no_json(error, cls)}") from None
