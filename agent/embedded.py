"""What runs when nothing is named: the demo bundle that the package carries, on the rendered camera.

A bare machine shows the whole street so, without a camera, a model or a network. Only a person gets it: a service
whose configuration was lost must fail with a reason, not watch a conveyor that is not there (DESIGN section 5).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent import bundle

ADDRESS = "demo:"
"""Names the rendered camera as ``camera.uri``, and the bundle in the package as ``model.bundle``."""

NOTES = {
    "model.bundle": (
        "no model is named: a detector of bolts, nuts, washers, gears, bearings and springs; "
        "give --model or --bundle for yours"
    ),
    "camera.uri": "no camera is named: a rendered conveyor belt; give --camera for yours",
}
"""What is said to the person, by the setting that was filled in."""

_FOLDER = Path(__file__).parent / "demo"


def read() -> bundle.Bundle:
    """The bundle in the package, checked against the key beside it.

    Raises:
        ModelError: the installation is damaged.
    """
    return bundle.read(_FOLDER / "demo.bundle", [bundle.read_public_key(_FOLDER / "demo.pub")])


def is_under_systemd() -> bool:
    """A service manager started this process, not a person.

    A desktop's terminals are children of systemd too and inherit its variable; what they start has a terminal.
    """
    return "INVOCATION_ID" in os.environ and not (sys.stdin is not None and sys.stdin.isatty())


def defaults(camera: str | None, model: Path | None, bundle_path: str | None) -> dict[str, str]:
    """Settings for what a command line without a configuration leaves open.

    Args:
        camera: the address that was named.
        model: the ``.tflite`` that was named.
        bundle_path: the bundle that was named.

    Returns:
        Changes for :func:`agent.config.override`; none where the rest is the person's own.
    """
    is_demo_camera = camera is None or camera.startswith(ADDRESS)
    changes = {}
    if model is None and bundle_path is None and is_demo_camera:
        changes["model.bundle"] = ADDRESS
    if model is None and bundle_path in {None, ADDRESS} and camera is None:
        changes["camera.uri"] = ADDRESS
    return changes
