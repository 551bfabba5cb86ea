"""``docs/doctor.md`` from the doctor's own table of traps, so that the page cannot fall behind."""

from __future__ import annotations

from agent.doctor import CHECKS, Check

_HEAD = """\
# Doctor

`edge-agent doctor` says what this machine is and which of the field's known traps it is in, each with its mend. It
starts nothing and mends nothing. As from `edge-agent check`, a broker that is configured gets one probe message, and a
bundle that is configured is unpacked into the state folder.

    edge-agent doctor --config /etc/edge-agent/agent.toml
    edge-agent doctor --delegate edgetpu            # tries the delegate by one invoke in a child process
    edge-agent doctor --json                        # one JSON object; its schema: schemas/doctor.json
    edge-agent doctor --strict                      # for scripts: exit with the first problem's code
    edge-agent doctor --capture board.tar.gz        # the board's sensors as a file, without what names the board

| severity | means |
|---|---|
| ok | looked at, and well |
| note | good to know; also what could not be looked at |
| warning | will fail some day, or misleads measurements |
| problem | something does not work |

A diagnosis that was made is a success: without `--strict` the exit code is 0 whatever was found. With it, the code
of the first problem: 65 model or delegate, 66 camera, 69 broker, 74 disk, 78 settings, and 75 for what has to be put
right on the machine before trying again. Warnings and notes never fail.

Each check fails alone: what cannot be read, or does not answer, becomes a note. Run it as the service's user: as root
it sees no closed door.

## Capture

The archive holds `tree/` (a folder for `measure.sys_root`, so that your board can become a test), `doctor.json` (ids
and severities, not what was seen), and `bench.json` (64 frames of the embedded model on the rendered camera). Only
files of a fixed list are copied, and of them only what has the shape that the kernel gives it. Host name, user names
of three letters and more, machine id, serial numbers, MAC and IP addresses are cut out of the few free texts (names of
board, kernel and sensors). Look through it before you give it away.

## Findings

Made by `python -m tools.reference` from `agent/doctor`; change it there.
"""


def page() -> str:
    """``docs/doctor.md``."""
    return "\n".join([_HEAD, *(line for check in CHECKS for line in _section(check))]).rstrip() + "\n"


def _section(check: Check) -> list[str]:
    lines = [f"### {check.title} (`{check.id}`)", ""]
    if not check.traps:
        return [*lines, f"{(check.look.__doc__ or '').strip()}", ""]
    lines += ["| finding | severity | why it matters | mend | exit |", "|---|---|---|---|---|"]
    for trap in check.traps:
        code = str(trap.exit_code) if trap.severity == "problem" else ""
        cells = (f"`{trap.id}`", trap.severity, trap.why, trap.mend, code)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]
