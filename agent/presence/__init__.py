"""What is there, as automations want it: counts by class and zone that do not flap. Pure; main thread.

In: each frame's detections, the camera's state, and the monotonic time. Out: a :class:`Sighting` when one is due.
``held`` is one count with its two hold times, ``places`` says which zones a box lies in, ``presence`` decides.
"""

from agent.presence.presence import Presence

__all__ = ["Presence"]
