"""Stage 5, measure: latency in mergeable sketches, memory, heat, clock and power; the only place that knows ``/sys``.

``sketch`` a histogram that adds up; ``meter`` per-frame times into windows (main thread); ``sensors`` everything slow
(telemetry thread), from ``process``, ``thermal`` and ``board``, which read by ``files``. ``load`` and ``energy``
are for the benchmark: who else ran, and what it cost.
"""

from agent.measure.energy import EnergyMeter
from agent.measure.load import Load, read_load
from agent.measure.meter import Meter
from agent.measure.sensors import Sensors
from agent.measure.sketch import Sketch

__all__ = ["EnergyMeter", "Load", "Meter", "Sensors", "Sketch", "read_load"]
