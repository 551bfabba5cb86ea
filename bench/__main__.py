"""``python -m bench``: all of them, or one by name."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import compare, governor, litert, memory, parity, publish, render, sensors, start, street
from bench.drift import rates
from bench.recalibrate import coco, cost, face_mask, follow, light, loss, natural, twin
from bench.recalibrate import demo as recalibrate

BENCHES: dict[str, Callable[[list[str]], None]] = {
    "street": street.main,
    "render": render.main,
    "publish": publish.main,
    "sensors": sensors.main,
    "parity": parity.main,
    "start": start.main,
    "memory": memory.main,
    "litert": litert.main,
    "compare": compare.main,
    "growth": memory.growth,
    "governor": governor.main,
    "recalibrate": recalibrate.main,
    "light": light.main,
    "follow": follow.main,
    "recalibrate-coco": coco.main,
    "recalibrate-natural": natural.main,
    "recalibrate-loss": loss.main,
    "recalibrate-cost": cost.main,
    "recalibrate-twin": twin.main,
    "recalibrate-face-mask": face_mask.main,
    "drift": rates.main,
}
SHORT = ("street", "start", "memory")
"""What ``make bench`` runs; ``growth`` takes ten minutes, ``compare`` forty."""


def main() -> None:
    name, *rest = sys.argv[1:] or ["all"]
    if name == "all":
        for each in SHORT:
            BENCHES[each]([])
            print()
    elif name in BENCHES:
        BENCHES[name](rest)
    else:
        sys.exit(f"bench: {name!r} is unknown; say one of {', '.join(BENCHES)}")


if __name__ == "__main__":
    main()
