"""Stage 5, measure: latency in mergeable sketches, memory, heat, clock and power; the only place that knows ``/sys``.

``sketch`` a histogram that adds up; ``meter`` per-frame times into windows (main thread); ``sensors`` everything slow
(telemetry thread), from ``process``, ``thermal`` and ``board``, which read by ``files``. ``host``, ``disk`` and
``coral`` tell the doctor what the machine is set to; ``capture`` copies sensors without what names the board.
"""

from agent.measure.meter import Meter
from agent.measure.sensors import Sensors
from agent.measure.sketch import Sketch

__all__ = ["Meter", "Sensors", "Sketch"]
