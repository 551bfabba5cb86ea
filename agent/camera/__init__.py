"""Stage 1: the newest frame from anywhere. Only what is named here is for others.

::

    uri ──> opening ──> v4l2 | stream | picam | files (+ pace)      one source, opened
                            │
                        camera.Camera ── the thread "camera": grab, decode, prepare
                            │    demand: what is worth decoding     eye, watch: how the camera is
                          slot ──> read()                           the pipeline's thread
"""

from agent.camera.camera import Camera
from agent.camera.check import check
from agent.camera.files import list_pictures, read_picture
from agent.camera.uri import CameraUri, parse, redact

__all__ = ["Camera", "CameraUri", "check", "list_pictures", "parse", "read_picture", "redact"]
