"""The health card for Prometheus: a file for node_exporter's textfile collector, or a page on loopback.

In: a :class:`Health` now and then, on the telemetry thread. Out: the text format, made by ``prometheus_client``, which
is imported only where one of the two is switched on. The page is served on a thread named "prometheus". Quantiles are
those of the newest window and do not add up over boards; the sketches of ``m/perf`` do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from agent import __version__
from agent.config import Config, PrometheusConfig
from agent.errors import StorageError, UnavailableError
from agent.files import write_whole
from agent.pipeline import Model
from agent.publish import PublisherStatus
from agent.records import Health

log = logging.getLogger("agent.prometheus")

Gauges = list[tuple[str, str, float | None]]


class Exposition:
    """Shows the newest card; registered as a collector, so nothing is computed unless somebody reads.

    Args:
        config: where.
        facts: labels of ``edge_agent_info``.
        clock: monotonic seconds.

    Raises:
        UnavailableError: prometheus_client is not installed.
    """

    def __init__(
        self, config: PrometheusConfig, facts: dict[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._facts, self._clock = config, facts, clock
        self._library = _library()
        self._core: Any = self._library.core
        self._health: Health | None = None
        self._mqtt: PublisherStatus | None = None
        self._due_s = clock()
        self._failures_total = 0
        self._is_failing = False
        self._server: Any = None
        self.registry = self._library.CollectorRegistry()
        self.registry.register(self)

    def start(self) -> None:
        """Opens the page, where one is asked for.

        Raises:
            UnavailableError: the address is taken.
        """
        if not self._config.listen:
            return
        host, port = self._config.address
        try:
            self._server, thread = self._library.start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise UnavailableError(f"prometheus.listen: {self._config.listen}: {error.strerror or error}") from None
        thread.name = "prometheus"

    def stop(self) -> None:
        """Closes the page and takes the file away: what has ended must not be shown as present."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._config.textfile and self._health is not None:
            with suppress(OSError):  # it could not be written either
                Path(self._config.textfile).unlink()

    def take(self, health: Health, mqtt: PublisherStatus | None) -> None:
        """The newest card, and how publishing goes; writes the file when that is due."""
        self._health, self._mqtt = health, mqtt
        if self._config.textfile and self._clock() >= self._due_s:
            self._due_s = self._clock() + self._config.interval_s
            self._write(Path(self._config.textfile))

    def collect(self) -> Iterator[Any]:
        """The metric families; called by the library, on the thread of whoever reads."""
        core, health = self._core, self._health
        yield core.InfoMetricFamily("edge_agent", "Which agent this is.", self._facts)
        yield core.CounterMetricFamily(
            "edge_agent_textfile_failures", "Times that the file could not be written.", self._failures_total
        )
        if health is not None:
            yield from _families(core.GaugeMetricFamily, _gauges(health))
            yield from _families(core.CounterMetricFamily, _counters(health))
            yield self._stages(health)
            yield from self._by_cause(health)
        if self._mqtt is not None:
            yield from self._publishing(self._mqtt)

    def _stages(self, health: Health) -> Any:
        family = self._core.GaugeMetricFamily(
            "edge_agent_stage_seconds", "Time of a frame in each stage, newest window.", labels=["stage", "quantile"]
        )
        for name, stats in health.stages.items():
            for quantile, value_s in (("0.5", stats.p50_s), ("0.9", stats.p90_s), ("0.99", stats.p99_s)):
                family.add_metric([name, quantile], value_s)
        return family

    def _by_cause(self, health: Health) -> Iterator[Any]:
        failures = {status.name: status.failures_total for status in health.board.sensors if status.failures_total}
        episodes = health.episodes.items()
        for name, text, label, values in (
            ("blind_cause_seconds", "Time without an answer, over restarts.", "cause", health.blind),
            ("held_episodes", "Times that the board was held back.", "cause", {c: each.count for c, each in episodes}),
            ("held_seconds", "How long it was.", "cause", {c: each.seconds for c, each in episodes}),
            ("sensor_failures", "Readings that were refused or failed.", "sensor", failures),
        ):
            family = self._core.CounterMetricFamily(f"edge_agent_{name}", text, labels=[label])
            for key, value in values.items():
                family.add_metric([key], value)
            yield family

    def _publishing(self, mqtt: PublisherStatus) -> Iterator[Any]:
        yield from _families(
            self._core.GaugeMetricFamily,
            [
                ("mqtt_connected", "The broker let us in.", float(mqtt.connected)),
                ("mqtt_queue_messages", "Messages that wait or are unacknowledged.", mqtt.queue_rows),
                ("mqtt_queue_bytes", "Memory they take.", mqtt.queue_bytes),
            ],
        )
        yield from _families(
            self._core.CounterMetricFamily,
            [
                ("mqtt_published", "Messages handed to the broker, repeats included.", mqtt.published),
                ("mqtt_acked", "Messages that the broker acknowledged.", mqtt.acked),
            ],
        )
        for name, text, by_class in (
            ("dropped", "Messages given up: each is lost.", mqtt.dropped),
            ("refused", "Messages the broker refused: each is lost.", mqtt.refused),
            ("sent_bytes", "MQTT bytes sent.", mqtt.bytes_out),
        ):
            family = self._core.CounterMetricFamily(f"edge_agent_mqtt_{name}", text, labels=["class"])
            for cls, value in by_class.items():
                family.add_metric([cls], value)
            yield family

    def _write(self, path: Path) -> None:
        """A reader sees the old file or the new one. 0644: another user reads it."""
        page = self._library.generate_latest(self.registry)
        try:
            write_whole(path, page, safely=False, mode=0o644)
        except OSError as error:
            self._failures_total += 1
            if not self._is_failing:
                log.warning("prometheus.textfile: %s: %s", path, error.strerror)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("prometheus.textfile: %s: written again", path)
            self._is_failing = False


def make(config: Config, model: Model, device: str, clock: Callable[[], float] = time.monotonic) -> Exposition | None:
    """What the settings ask for; None when that is nothing.

    Raises:
        UnavailableError: prometheus_client is not installed.
    """
    if not (config.prometheus.textfile or config.prometheus.listen):
        return None
    info, runs = model.info, model.detector.info
    facts = {"version": __version__, "site": config.device.site, "device": device}
    facts |= {"model": f"{info.name} {info.version}".strip(), "runtime": f"{runs.backend} {runs.version}"}
    return Exposition(config.prometheus, facts, clock)


def check(config: PrometheusConfig) -> str:
    """One sentence about a file that can be written and an address that is free; leaves neither behind.

    Raises:
        UnavailableError: prometheus_client is not installed, or the address is taken.
        StorageError: the file cannot be written.
    """
    page = Exposition(config, {})
    page.start()
    page.stop()
    if config.textfile:
        beside = Path(f"{config.textfile}.check")
        try:
            beside.touch()
            beside.unlink()
        except OSError as error:
            raise StorageError(f"prometheus.textfile: {config.textfile}: {error.strerror}") from None
    told = (
        f"{config.textfile} can be written" * bool(config.textfile),
        f"{config.listen} is free" * bool(config.listen),
    )
    return "; ".join(each for each in told if each)


def _library() -> ModuleType:
    try:
        import prometheus_client  # noqa: PLC0415  # an extra
        import prometheus_client.core  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"[prometheus] needs {error.name}, which is not installed: pip install 'edge-agent[prometheus]'"
        ) from None
    library: ModuleType = prometheus_client
    return library


def _families(kind: Callable[..., Any], rows: Gauges) -> Iterator[Any]:
    """What is not there is left out: a board without a sensor has no temperature, not the temperature 0."""
    for name, text, value in rows:
        if value is not None:
            yield kind(f"edge_agent_{name}", text, value)


def _gauges(health: Health) -> Gauges:
    process, thermal, growth = health.board.process, health.board.thermal, health.growth
    return [
        ("uptime_seconds", "Since the agent's start.", health.uptime_s),
        ("frames_per_second", "Frames answered a second, newest window.", health.fps),
        ("camera_up", "The camera gives good pictures.", float(health.camera.state == "streaming")),
        ("resident_memory_bytes", "Memory of the agent.", process.rss_bytes),
        ("private_memory_bytes", "Memory that nobody else has.", process.uss_bytes),
        ("cgroup_memory_bytes", "Memory charged to the service, page cache included.", process.cgroup_bytes),
        ("memory_growth_bytes_per_hour", "How fast private memory grows.", growth.bytes_hour if growth else None),
        ("cpu_percent", "Processor time of the agent; 100 is one core.", process.cpu_percent),
        ("soc_temperature_celsius", "The processor's temperature.", thermal.soc_celsius),
        ("accelerator_temperature_celsius", "A Coral on PCIe or M.2.", thermal.accelerator_celsius),
        ("pmic_temperature_celsius", "A Pi's power chip.", thermal.pmic_celsius),
        ("rp1_temperature_celsius", "The I/O chip of a Pi 5.", thermal.rp1_celsius),
        ("nvme_temperature_celsius", "The hottest NVMe drive.", thermal.nvme_celsius),
        ("core_volts", "The processor's core.", thermal.core_volts),
        ("fan_rpm", "Turns of the fan a minute.", thermal.fan_rpm),
        ("frequency_hertz", "The processor's clock.", thermal.frequency_hz),
        ("frequency_max_hertz", "The highest that the kernel may ask for.", thermal.frequency_max_hz),
        ("throttled", "Throttled or capped now.", thermal.throttled),
        ("under_voltage", "Under-volted now.", thermal.under_voltage),
    ]


def _counters(health: Health) -> Gauges:
    camera = health.camera
    return [
        ("camera_frames", "Frames that the source gave.", camera.frames_total),
        ("camera_frames_dropped", "Frames that a newer one replaced.", camera.dropped_total),
        ("camera_frames_corrupt", "Frames that could not be decoded.", camera.corrupt_total),
        ("camera_reconnects", "Times that the source was opened again.", camera.reconnects_total),
        ("blind_seconds", "Time without an answer.", health.blind_s),
        ("planned_restarts", "Ends because of memory, over restarts.", health.planned_restarts),
    ]
