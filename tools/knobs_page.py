"""``docs/rendered-camera.md``, made from the knobs and the presets of the rendered camera."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

from agent.camera.rendered import CONDITIONS, RANGES, Knobs
from agent.camera.rendered.script import PRESETS

_HEAD = """\
# The rendered camera

`demo:` is a camera that needs no hardware: bolts, nuts, washers, gears, bearings and springs on a conveyor belt,
seen from above, 640 x 480 at 30 frames a second (`camera.width`, `camera.height`, `camera.fps` change that). The same
seed shows the same, frame by frame, on every machine. Made by `python -m tools.reference` from the code in
`agent/camera/rendered/`; change it there.

    demo:?seed=3&light=0.4&blur=2            knobs, as they stand at the begin
    demo:?drift=dim@30s                      a script: after 30 s the light begins to drop
    demo:?drift=haze@90s+20s,blur:2@5s       haze from 90 s on, within 20 s; blur turned to 2 at 5 s
    demo:?control=knobs.txt                  a file that is read again whenever it changes

| option | |
|---|---|
| `seed` | which scene, 0 to 999999 |
| `fps` | frames a second |
| `frames` | end after so many |
| `drift` | steps, separated by commas, each `NAME@START` or `NAME@START+DURATION`, or `KNOB:VALUE@START`; in seconds |
| `control` | a file with knobs as in the address (`light=0.4&blur=2`); knobs it does not name stay where they stand |
"""


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join([_HEAD, "## Knobs", "", *_knobs(), "", "## Drifts", "", *_presets(), "", *_conditions()]) + "\n"


def _knobs() -> list[str]:
    meanings = dict(re.findall(r"^    (\w+): (.+?)(?=\n    \w+: |\Z)", inspect.getdoc(Knobs) or "", re.S | re.M))
    lines = ["| knob | from | to | usually | meaning |", "|---|---|---|---|---|"]
    for field in fields(Knobs):
        low, high = RANGES[field.name]
        meaning = " ".join(meanings[field.name].split()).replace("``", "`")
        lines.append(f"| `{field.name}` | {low:g} | {high:g} | {field.default:g} | {meaning} |")
    return lines


def _presets() -> list[str]:
    lines = ["| name | turns | within, s |", "|---|---|---|"]
    for name, (goals, duration_s) in PRESETS.items():
        turns = ", ".join(f"`{knob}` to {value:g}" for knob, value in goals)
        lines.append(f"| `{name}` | {turns} | {duration_s:g} |")
    return lines


def _conditions() -> list[str]:
    lines = ["## Conditions", "", "What models are measured under ([demo-model.md](demo-model.md)).", ""]
    lines += ["| condition | knobs |", "|---|---|"]
    for name, knobs in CONDITIONS.items():
        turned = [f for f in fields(Knobs) if getattr(knobs, f.name) != f.default]
        cells = ", ".join(f"`{field.name}` {getattr(knobs, field.name):g}" for field in turned)
        lines.append(f"| {name} | {cells or 'as usual'} |")
    return lines
