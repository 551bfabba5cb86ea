"""``python -m bench recalibrate-natural [--draws 100]``: nothing is wrong - how often is it mended all the same?

The demo model as it ships, calibrated on day, recalibrated on its own camera by day: each draw is what
``edge-agent recalibrate`` does with 32 frames of a belt of its own, of which 16 are measured and 16 judge. No two draws
have a frame in common. The proof's interval is of 95 %: where a patch changes nothing, it lies above zero in one draw
of forty by chance, and as often below. Above, the patch would be used; below, it would have been refused in any case.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np

from agent import config as settings
from agent.camera.rendered import DAY, Sprites
from agent.config import Config, RuntimeConfig
from agent.pipeline import load_model
from agent.recalibrate.application import Outcome, Plan, recalibrate
from bench.common import machine
from bench.recalibrate.demo import deployed_file, lit, paired

FRAMES = 32
_FIRST_SEED = 600_000
_NORMAL = 1.959964


def main(arguments: list[str]) -> None:
    """Print how often, and how much."""
    parser = argparse.ArgumentParser(prog="bench recalibrate-natural", description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--float", action="store_true", help="prove against the float model, not the float twin")
    options = parser.parse_args(arguments)
    judge = "float model" if options.float else "float twin"
    print(f"recalibrate-natural: demo model as shipped, by day, against its {judge}; {machine()}")
    outcomes = list(drawn(options.draws, by_float=options.float))
    proofs, count = [outcome.proof for outcome in outcomes], len(outcomes)
    used = [outcome.proof.gain.value for outcome in outcomes if outcome.verdict == "recalibrate"]
    print(f"{count} draws of {FRAMES} frames")
    print(f"  used, surely better:   {said(len(used), count)}")
    print(f"  refused, surely worse: {said(sum(proof.gain.high < 0 for proof in proofs), count)}")
    print(f"  agreement as shipped {np.mean([proof.old.agreement.quality for proof in proofs]):.4f}")
    print(f"  gain, mean over draws {paired([proof.gain.value for proof in proofs], 4)}")
    if used:
        print(f"  gain where it would be used: {min(used):+.4f} to {max(used):+.4f}")
    for name, head in zip(
        ("boxes", "scores"), zip(*(proof.sqnr_gain_db for proof in proofs), strict=True), strict=False
    ):
        print(f"  SQNR of {name}, dB: {paired([item.value for item in head])}")


def drawn(draws: int, *, by_float: bool) -> Iterator[Outcome]:
    """One recalibration a draw."""
    path = deployed_file()
    named = {"model.labels": str(path.parent / "labels.txt")}
    model = load_model(settings.override(Config(), {"model.path": str(path), **named}))
    whole = path.parent / "float.tflite"
    reference = load_model(settings.override(Config(), {"model.path": str(whole), **named})) if by_float else None
    sprites = Sprites(limit=8000)
    for draw in range(draws):
        scenes = lit(_FIRST_SEED + draw, FRAMES, {"day": DAY}, sprites)
        frames = [scene["day"][0] for scene in scenes]
        # scenes of a belt that have nothing in common: each one is evidence by itself
        yield recalibrate(model, frames, RuntimeConfig(), Plan(block=1), reference=reference)


def said(found: int, count: int) -> str:
    low, high = wilson(found, count)
    return f"{found} of {count}, {found / count:.1%} (95 %: {low:.1%} to {high:.1%})"


def wilson(found: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927, Journal of the American Statistical Association 22:209)."""
    z2 = _NORMAL**2
    middle = (found + z2 / 2) / (count + z2)
    half = _NORMAL / (count + z2) * math.sqrt(found * (count - found) / count + z2 / 4)
    # at none and at all of them the ends are 0 and 1, but for the last digit
    return min(max(0.0, middle - half), found / count), max(min(1.0, middle + half), found / count)
