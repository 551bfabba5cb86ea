"""A camera that needs no hardware: parts on a conveyor, seen from above; light, lens and sensor drift on command.

::

    knobs, script                              what is asked for: pure records
    parts ─> sprite ─> layout (+ belt)         pieces of belt, drawn once
    lens, light, occluder, sensor              what happens between the belt and the picture
    renderer.Renderer                          seed, frame number, knobs -> pixels and truth
    source                                     a camera of it: ``demo:?seed=3&light=0.4&drift=dim@30s``
"""

from agent.camera.rendered.knobs import CONDITIONS, DAY, RANGES, Knobs
from agent.camera.rendered.parts import CLASSES, NEW_CLASS
from agent.camera.rendered.renderer import HEIGHT, WIDTH, Renderer
from agent.camera.rendered.sprite import Sprites

__all__ = ["CLASSES", "CONDITIONS", "DAY", "HEIGHT", "NEW_CLASS", "RANGES", "WIDTH", "Knobs", "Renderer", "Sprites"]
