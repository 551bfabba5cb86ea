"""Queries into windows, windows into a run: exact percentiles from every latency, and the project's sketches.

One latency is eight bytes: an hour of 300 queries a second keeps 9 MB. Sketches (1 %) would be too coarse here: two
runs that differ by half a bucket must not look 2 % apart.
"""

from __future__ import annotations

from array import array
from math import isnan

import numpy as np

from agent.bench.observe import Conditions
from agent.bench.result import Window
from agent.bench.scenarios import Query
from agent.measure import Sketch
from agent.records import StageStats

STAGES = ("age", "preprocess", "invoke", "postprocess", "total")


class Tally:
    """One owner, one thread."""

    def __init__(self) -> None:
        self.latencies = array("d")
        self.samples = 0
        self._ages = array("d")
        self._marks = (0, 0, 0)
        self._dropped = 0
        self._sketches = {name: Sketch() for name in STAGES}

    def add(self, query: Query) -> None:
        """Count one query."""
        self.latencies.append(query.total_s)
        self.samples += query.samples
        sketches = self._sketches
        sketches["preprocess"].add(query.preprocess_s)
        sketches["invoke"].add(query.invoke_s)
        sketches["postprocess"].add(query.postprocess_s)
        sketches["total"].add(query.total_s)
        if not isnan(query.age_s):
            self._ages.append(query.age_s)
            sketches["age"].add(query.age_s)

    @property
    def waiting(self) -> int:
        """Queries since the last window."""
        return len(self.latencies) - self._marks[0]

    def window(self, started_s: float, duration_s: float, seen: Conditions, dropped_total: int | None) -> Window:
        """Close the window; there was at least one query in it."""
        begun, samples, aged = self._marks
        self._marks = (len(self.latencies), self.samples, len(self._ages))
        p50, p90, p99 = percentiles(self.latencies[begun:])
        ages = self._ages[aged:]
        age50, _, age99 = percentiles(ages) if ages else (None, None, None)
        dropped = None if dropped_total is None else dropped_total - self._dropped
        self._dropped = dropped_total or 0
        thermal = seen.reading.thermal
        return Window(
            started_s=started_s,
            duration_s=duration_s,
            queries=len(self.latencies) - begun,
            samples_per_s=(self.samples - samples) / duration_s,
            p50_s=p50,
            p90_s=p90,
            p99_s=p99,
            max_s=max(self.latencies[begun:]),
            age_p50_s=age50,
            age_p99_s=age99,
            dropped=dropped,
            soc_celsius=thermal.soc_celsius,
            accelerator_celsius=thermal.accelerator_celsius,
            frequency_hz=thermal.frequency_hz,
            frequency_max_hz=thermal.frequency_max_hz,
            throttle_bits=thermal.throttle_bits,
            under_voltage=thermal.under_voltage,
            throttled=thermal.throttled,
            others_cores=seen.others_cores,
            own_cores=seen.own_cores,
            waited_share=seen.waited_share,
            stolen_share=seen.stolen_share,
            energy_joules=seen.energy_joules,
            rss_bytes=seen.reading.process.rss_bytes,
        )

    def stages(self) -> dict[str, StageStats]:
        """Each stage over the whole run; one without a value is absent."""
        found = {}
        for name, sketch in self._sketches.items():
            p50, p90, p99, most = *(sketch.quantile(q) for q in (0.5, 0.9, 0.99)), sketch.max
            if p50 is not None and p90 is not None and p99 is not None and most is not None:
                found[name] = StageStats(sketch.count, p50, p90, p99, most, sketch.sum / sketch.count, sketch.bins())
        return found


def percentiles(values: array[float]) -> tuple[float, float, float]:
    """p50, p90 and p99: the least value that so many do not exceed, as the sketches have it."""
    found = np.percentile(np.asarray(values), (50, 90, 99), method="inverted_cdf")
    return float(found[0]), float(found[1]), float(found[2])
