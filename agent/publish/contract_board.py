"""The payloads that tell of the board and of the agent on it: the health card, ``m/sys``, ``m/therm``."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from agent.publish.contract_base import Envelope, LightName, PaceName, Part, metric


class BoardCard(Part, frozen=True, kw_only=True):
    """The machine."""

    model: str
    machine: str
    cores: int
    os: str
    kernel: str
    python: str
    memory_bytes: int | None = None
    revision: Annotated[str | None, Meta(description="A Raspberry Pi's revision code, hexadecimal.")] = None
    revision_model: Annotated[str | None, Meta(description="What it says: type and revision, such as 4B 1.4.")] = None
    soldered_bytes: Annotated[int | None, Meta(description="Memory that is soldered on, by that code.")] = None
    governor: Annotated[str | None, Meta(description="How the kernel chooses the clock.")] = None
    accelerators: Annotated[tuple[str, ...], Meta(description="Corals that are attached: pcie, usb.")] = ()
    frequency_min_hz: Annotated[float | None, Meta(description="The lowest clock that the kernel asks for.")] = None
    frequency_max_hz: Annotated[float | None, Meta(description="The highest that the hardware has.")] = None
    soc_limit_celsius: Annotated[float | None, Meta(description="Where the firmware throttles.")] = None
    cgroup_high_bytes: Annotated[
        int | None, Meta(description="Memory above which the kernel slows the service down.")
    ] = None
    cgroup_max_bytes: Annotated[int | None, Meta(description="Memory above which the kernel kills in the service.")] = (
        None
    )


class Totals(TypedDict):
    """What the publisher counts, ready to be given to :class:`HealthCard`."""

    published: int
    acked: int
    merged: int
    dropped: dict[str, int]
    refused: dict[str, int]
    bytes_out: dict[str, int]
    disk_bytes_written: int
    disk_faults: int
    lost_at_restart: dict[str, int]


class CameraCard(Part, frozen=True, kw_only=True):
    """How the camera is."""

    state: str
    frames_total: Annotated[int, metric("1", "counter", "Frames that the source gave.")]
    dropped_total: Annotated[int, metric("1", "counter", "Frames that a newer one replaced.")]
    reconnects_total: Annotated[int, metric("1", "counter", "Times that the source was opened again.")]
    corrupt_total: Annotated[int, metric("1", "counter", "Frames that could not be decoded.")]
    reason: str | None = None


class QueueCard(Part, frozen=True, kw_only=True):
    """What waits for the broker."""

    rows: Annotated[int, metric("1", "gauge", "Messages that wait or are unacknowledged.")]
    bytes: Annotated[int, metric("bytes", "gauge", "Memory they take.")]
    disk_bytes: Annotated[int, metric("bytes", "gauge", "What lies on the disk of it.")] = 0
    oldest_s: Annotated[float, metric("s", "gauge", "Age of the oldest one.")]


class HealthCard(Envelope, frozen=True, kw_only=True):
    """The last-value card. The counters count from the agent's start; ``by class`` means a delivery class."""

    uptime_s: Annotated[float, metric("s", "gauge", "Since the agent's start.")]
    camera: CameraCard
    queue: QueueCard
    blind_s: Annotated[float, metric("s", "counter", "Time without an answer, of any cause.")]
    published: Annotated[int, metric("1", "counter", "Messages handed to the broker, repeats included.")]
    acked: Annotated[int, metric("1", "counter", "Messages that the broker acknowledged.")]
    merged: Annotated[int, metric("1", "counter", "Windows that were merged into a neighbour to save memory.")]
    dropped: Annotated[dict[str, int], metric("1", "counter", "Messages given up, by class: each one is lost.")]
    refused: Annotated[dict[str, int], metric("1", "counter", "Messages the broker refused, by class: each is lost.")]
    bytes_out: Annotated[dict[str, int], metric("bytes", "counter", "MQTT bytes sent, by class.")]
    disk_bytes_written: Annotated[int, metric("bytes", "counter", "Written to save what waits.")] = 0
    disk_faults: Annotated[int, metric("1", "counter", "Times that the disk did not take or give it.")] = 0
    fps: Annotated[float | None, metric("1/s", "gauge", "Frames answered a second.")] = None
    rss_bytes: Annotated[int | None, metric("bytes", "gauge", "Memory of the agent.")] = None
    soc_celsius: Annotated[float | None, metric("Cel", "gauge", "The processor's temperature.")] = None
    throttle_bits: Annotated[int | None, metric("1", "gauge", "The Raspberry Pi firmware's throttle word.")] = None
    under_voltage: Annotated[bool | None, metric("1", "gauge", "Under-volted.")] = None
    throttled: Annotated[bool | None, metric("1", "gauge", "Throttled or capped.")] = None
    age_p50_s: Annotated[float | None, metric("s", "gauge", "Capture to answer, newest window, median.")] = None
    age_p99_s: Annotated[float | None, metric("s", "gauge", "The same, 99th percentile.")] = None
    total_p50_s: Annotated[float | None, metric("s", "gauge", "Work on a frame, newest window, median.")] = None
    total_p99_s: Annotated[float | None, metric("s", "gauge", "The same, 99th percentile.")] = None
    lost_at_restart: Annotated[
        dict[str, int], metric("1", "counter", "What former starts had made and nobody has, by class.")
    ] = {}
    pace: Annotated[
        PaceName | None,
        Meta(
            description="The thermal governor: paced, slowest (as few frames as allowed and still too hot), blind (no "
            "temperature to go by); not there: all frames are taken."
        ),
    ] = None
    pace_fps: Annotated[float | None, metric("1/s", "gauge", "Frames a second that it allows at most.")] = None
    pace_acted: Annotated[bool | None, Meta(description="It is done; else it is advice.")] = None
    pace_reason: Annotated[str | None, Meta(description="Why, one sentence.")] = None
    light: Annotated[
        LightName | None,
        Meta(
            description="The correction of the light: learning what is usual, blocked from it by a correction that "
            "lies over the model, corrected, advised to be, held (that correction is, for the light is another); not "
            "there: nothing is corrected."
        ),
    ] = None
    light_learned: Annotated[int | None, metric("1", "gauge", "Frames learned so far, while it is learned.")] = None
    light_reason: Annotated[str | None, Meta(description="Why it is corrected so, one sentence.")] = None
    correction: Annotated[
        dict[str, float],
        metric("1", "gauge", "Its numbers that do something: black (grey level), gain, gamma, blue, green, red."),
    ] = {}
    blind: Annotated[
        dict[str, float],
        metric("s", "counter", "Time without an answer by cause, over restarts as far as the board remembers."),
    ] = {}
    throttle_seen_bits: Annotated[
        int | None, metric("1", "gauge", "Bits 0 to 3 of the throttle word that were seen set since the board booted.")
    ] = None
    held_episodes: Annotated[
        dict[str, int], metric("1", "counter", "How often the board was held back, by cause.")
    ] = {}
    held_s: Annotated[dict[str, float], metric("s", "counter", "How long, by cause.")] = {}
    growth_bytes_hour: Annotated[float | None, metric("bytes/h", "gauge", "How fast private memory grows.")] = None
    growth_low_bytes_hour: Annotated[float | None, metric("bytes/h", "gauge", "Lower end of its 95 % interval.")] = None
    growth_high_bytes_hour: Annotated[float | None, metric("bytes/h", "gauge", "Upper end of its 95 % interval.")] = (
        None
    )
    planned_restarts: Annotated[
        int, metric("1", "counter", "Times that the agent ended itself because of its memory, over restarts.")
    ] = 0
    sensor_failures: Annotated[
        dict[str, int], metric("1", "counter", "Readings that were refused or failed, by sensor.")
    ] = {}
    sources: Annotated[
        dict[str, str], Meta(description="Where throttle, frequency and soc come from: mailbox or sysfs.")
    ] = {}
    cgroup_bytes: Annotated[
        int | None, metric("bytes", "gauge", "Memory that is charged to the service, page cache included.")
    ] = None
    swap_free_bytes: Annotated[int | None, metric("bytes", "gauge", "Swap that the board still has.")] = None
    pmic_celsius: Annotated[float | None, metric("Cel", "gauge", "A Pi's power chip.")] = None
    core_volts: Annotated[float | None, metric("V", "gauge", "The processor's core.")] = None


class Sys(Envelope, frozen=True, kw_only=True):
    """Memory and load of the agent; of merged readings the newest, percents the mean."""

    n: Annotated[int, Meta(ge=1, description="Readings that this one stands for.")] = 1
    rss_bytes: Annotated[int | None, metric("bytes", "gauge", "Resident memory.")] = None
    pss_bytes: Annotated[int | None, metric("bytes", "gauge", "Proportional memory.")] = None
    peak_rss_bytes: Annotated[int | None, metric("bytes", "gauge", "Highest resident memory since the start.")] = None
    available_bytes: Annotated[int | None, metric("bytes", "gauge", "Memory that the board still has.")] = None
    cpu_percent: Annotated[float | None, metric("%", "gauge", "Processor time of the agent; 100 is one core.")] = None
    board_cpu_percent: Annotated[float | None, metric("%", "gauge", "The same of the board; 100 is all cores.")] = None
    threads: Annotated[int | None, metric("1", "gauge", "Threads of the agent.")] = None
    uss_bytes: Annotated[int | None, metric("bytes", "gauge", "Private memory: what ending would free.")] = None
    swapped_bytes: Annotated[
        int | None, metric("bytes", "gauge", "Memory of the agent in swap; left out while there is none.")
    ] = None
    failed: Annotated[dict[str, str], Meta(description="Sensors that broke, and how.")] = {}


class Therm(Envelope, frozen=True, kw_only=True):
    """Heat, clock and power; of merged readings the newest, bits and flags of any. Not sent without sensors."""

    n: Annotated[int, Meta(ge=1, description="Readings that this one stands for.")] = 1
    soc_celsius: Annotated[float | None, metric("Cel", "gauge", "The processor's temperature.")] = None
    soc_max_celsius: Annotated[float | None, metric("Cel", "gauge", "The highest of merged readings.")] = None
    accelerator_celsius: Annotated[float | None, metric("Cel", "gauge", "Temperature of a Coral PCIe or M.2.")] = None
    rp1_celsius: Annotated[float | None, metric("Cel", "gauge", "The I/O chip of a Pi 5.")] = None
    nvme_celsius: Annotated[float | None, metric("Cel", "gauge", "The hottest NVMe drive.")] = None
    fan_rpm: Annotated[int | None, metric("1/min", "gauge", "Turns of the fan.")] = None
    fan_share: Annotated[float | None, metric("1", "gauge", "How hard it is driven, 0 to 1.")] = None
    cooling: Annotated[
        dict[str, int], metric("1", "gauge", "State of the kernel's cooling devices by type; 0 does nothing.")
    ] = {}
    frequency_hz: Annotated[
        float | None, metric("Hz", "gauge", "The processor's clock, measured where the firmware tells.")
    ] = None
    frequency_max_hz: Annotated[float | None, metric("Hz", "gauge", "The highest that it may take.")] = None
    throttle_bits: Annotated[int | None, metric("1", "gauge", "The Raspberry Pi firmware's throttle word.")] = None
    under_voltage: Annotated[bool | None, metric("1", "gauge", "Under-volted.")] = None
    throttled: Annotated[bool | None, metric("1", "gauge", "Throttled or capped.")] = None
