"""Stage 5, measure: latency in mergeable sketches, memory, heat, clock and power; the only place that knows ``/sys``.

``sketch`` a histogram that adds up; ``meter`` per-frame times into windows (main thread); ``sensors`` everything slow
(telemetry thread), from ``process``, ``cgroup``, ``thermal``, ``cooling``, ``pi`` (by ``mailbox`` and ``rails``) and
``board``, which read by ``files``, each with a deadline (``aside``). What is made of the readings is judged by plain
objects: ``blind``, ``episodes``, ``growth``, ``limit``. ``load`` and ``energy`` are for the benchmark: who else ran,
and what it cost; ``host``, ``disk`` and ``coral`` tell the doctor what the machine is set to, ``capture`` copies
sensors without what names the board.
"""

from agent.measure.blind import Blind
from agent.measure.energy import EnergyMeter, EnergySource, RailMeter
from agent.measure.episodes import Episodes
from agent.measure.growth import Growth
from agent.measure.limit import CALM_UPTIME_S, Limit, least_uptime_s
from agent.measure.load import Load, read_load
from agent.measure.meter import Meter
from agent.measure.sensors import Sensors
from agent.measure.sketch import Sketch

__all__ = [
    "CALM_UPTIME_S",
    "Blind",
    "EnergyMeter",
    "EnergySource",
    "Episodes",
    "Growth",
    "Limit",
    "Load",
    "Meter",
    "RailMeter",
    "Sensors",
    "Sketch",
    "least_uptime_s",
    "read_load",
]
