"""What is measured and told: windows, readings, cards, commands and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from agent.records.board import CoolingDevice, EpisodeTotal, HoldCause, MemoryGrowth
from agent.records.frame import CameraStatus
from agent.records.light import LightStatus
from agent.records.model import ModelInfo, RuntimeInfo
from agent.records.pace import Pace


@dataclass(frozen=True, slots=True)
class SketchBins:
    """A log-bucket histogram on its way to the wire: bucket ``offset + i`` holds ``counts[i]`` values.

    Bucket ``k`` covers (g^(k-1), g^k] with g = (1 + a) / (1 - a), a = ``relative_accuracy`` (DDSketch, Masson, Rim and
    Lee, VLDB 2019, arXiv 1908.10693). One fixed schema for every board, so that adding the counts merges exactly.
    """

    offset: int
    counts: tuple[int, ...]
    zero_count: int = 0
    relative_accuracy: float = 0.01


@dataclass(frozen=True, slots=True)
class StageStats:
    """One stage's times over a window, in seconds; percentiles from the sketch, ``max_s`` and ``mean_s`` exact."""

    count: int
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float
    mean_s: float
    bins: SketchBins


@dataclass(frozen=True, slots=True)
class PerfReport:
    """One window of the pipeline.

    Attributes:
        started_s: monotonic time of the window's begin.
        duration_s: its length.
        frames: frames that got an answer.
        fps: ``frames / duration_s``.
        dropped: frames that a newer one replaced in this window.
        detections: objects found, summed over frames.
        stages: ``age``, ``preprocess``, ``invoke``, ``postprocess``, ``total``; a stage without a value is absent.
    """

    started_s: float
    duration_s: float
    frames: int
    fps: float
    dropped: int
    detections: int
    stages: dict[str, StageStats]


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """This process and the memory around it; ``None`` is "not there", never zero.

    Attributes:
        rss_bytes: resident memory of this process.
        pss_bytes: the same with shared pages divided among their users.
        peak_rss_bytes: the highest ``rss_bytes`` since the start.
        available_bytes: memory that the board could still give.
        cpu_percent: processor time of this process since the last reading; 100 is one core.
        board_cpu_percent: the same of everything on the board; 100 is all cores busy.
        threads: threads of this process.
        uss_bytes: memory that would come free if this process ended: pages that nobody else has. A leak shows here.
        swapped_bytes: memory of this process that lies in swap.
        cgroup_bytes: what the kernel charges to the service (cgroup), page cache included.
        cgroup_high_bytes: above it the kernel slows the service down; None: no such limit.
        cgroup_max_bytes: above it the kernel kills in the service; None: no such limit.
        swap_free_bytes: swap that the board still has; None: it has none at all.
    """

    rss_bytes: int | None = None
    pss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    available_bytes: int | None = None
    cpu_percent: float | None = None
    board_cpu_percent: float | None = None
    threads: int | None = None
    uss_bytes: int | None = None
    swapped_bytes: int | None = None
    cgroup_bytes: int | None = None
    cgroup_high_bytes: int | None = None
    cgroup_max_bytes: int | None = None
    swap_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ThermalReading:
    """Heat, clock and power; ``None`` is "not there", never zero.

    Attributes:
        soc_celsius: the processor's temperature.
        accelerator_celsius: a Coral PCIe/M.2 (``apex``), where there is one; the hottest of several.
        frequency_hz: the processor's clock now: measured by the firmware where it tells, else what the kernel
            believes, which does not show the firmware's own throttling; ``sources["frequency"]`` says which.
        frequency_max_hz: the highest that the kernel may ask for now.
        throttle_bits: the Raspberry Pi firmware's word: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
            temperature limit, now; 16 to 19 the same since somebody cleared them, which the kernel's voltage driver
            does every 2 s.
        under_voltage: under-volted now.
        throttled: throttled or capped now.
        throttle_seen_bits: bits 0 to 3 that were ever seen set since the board booted, kept by the agent itself.
        pmic_celsius: the power chip of a Pi 4 or 5.
        rp1_celsius: the I/O chip of a Pi 5.
        nvme_celsius: the hottest NVMe drive.
        frequency_hardware_max_hz: the highest clock that the hardware has; above ``frequency_max_hz``: it is capped.
        frequency_min_hz: the lowest that the kernel may ask for.
        core_volts: the core's voltage.
        soc_limit_celsius: where the firmware begins to throttle.
        fan_rpm: turns a minute of the first fan that tells.
        fan_share: how hard it is driven, 0 to 1.
        cooling: the kernel's cooling devices.
        sources: where ``throttle``, ``frequency`` and ``soc`` come from, by these names.
    """

    soc_celsius: float | None = None
    accelerator_celsius: float | None = None
    frequency_hz: float | None = None
    frequency_max_hz: float | None = None
    throttle_bits: int | None = None
    under_voltage: bool | None = None
    throttled: bool | None = None
    throttle_seen_bits: int | None = None
    pmic_celsius: float | None = None
    rp1_celsius: float | None = None
    nvme_celsius: float | None = None
    frequency_hardware_max_hz: float | None = None
    frequency_min_hz: float | None = None
    core_volts: float | None = None
    soc_limit_celsius: float | None = None
    fan_rpm: int | None = None
    fan_share: float | None = None
    cooling: tuple[CoolingDevice, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """How one collector did: its own success and duration, and how often it was broken since the start."""

    name: str
    ok: bool
    duration_s: float
    error: str = ""
    failures_total: int = 0


@dataclass(frozen=True, slots=True)
class BoardReading:
    """All slow sensors, read once."""

    taken_s: float
    process: ProcessReading
    thermal: ThermalReading
    sensors: tuple[SensorStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """What this machine is; fixed while the agent runs. A serial number is not read.

    Attributes:
        model: the board's name.
        machine: the kernel's architecture.
        cores: cores that are switched on.
        memory_bytes: what the kernel has to give.
        os: the distribution.
        kernel: its release.
        python: the interpreter's version.
        revision: a Raspberry Pi's revision code, hexadecimal.
        revision_model: what that code says it is, such as ``4B 1.4``.
        soldered_bytes: memory that is soldered on, by that code.
        governor: how the kernel chooses the clock; None: it does not.
        accelerators: Corals that are attached, such as ``pcie`` and ``usb``; of USB also before its first use.
        boot_id: the kernel's random name for this boot; not in the birth.
        frequency_min_hz: the lowest clock that the kernel may ask for.
        frequency_max_hz: the highest that the hardware has.
        soc_limit_celsius: where the firmware begins to throttle.
        cgroup_high_bytes: memory above which the kernel slows the service down; None: no such limit.
        cgroup_max_bytes: above it the kernel kills in the service; None: no such limit.
    """

    model: str
    machine: str
    cores: int
    memory_bytes: int | None
    os: str
    kernel: str
    python: str
    revision: str | None = None
    revision_model: str | None = None
    soldered_bytes: int | None = None
    governor: str | None = None
    accelerators: tuple[str, ...] = ()
    boot_id: str | None = None
    frequency_min_hz: float | None = None
    frequency_max_hz: float | None = None
    soc_limit_celsius: float | None = None
    cgroup_high_bytes: int | None = None
    cgroup_max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The last-value card: how the agent itself is.

    Attributes:
        uptime_s: since the agent's start.
        fps: frames answered a second, newest window.
        camera: how the camera is.
        board: the newest reading of the slow sensors.
        blind_s: seconds without an answer since the agent's start.
        stages: those of the newest window.
        blind: seconds without an answer by cause, over restarts, as far back as the state folder remembers.
        episodes: how often and how long the board was held back, by cause, since the agent's start.
        growth: how memory grows; None until that can be told.
        planned_restarts: how often the agent ended itself because of ``measure.memory_limit_bytes``, over restarts.
        pace: how many frames are taken.
        light: how the correction of the light stands.
    """

    uptime_s: float
    fps: float | None
    camera: CameraStatus
    board: BoardReading
    blind_s: float
    stages: dict[str, StageStats] = field(default_factory=dict)
    blind: dict[str, float] = field(default_factory=dict)
    episodes: dict[HoldCause, EpisodeTotal] = field(default_factory=dict)
    growth: MemoryGrowth | None = None
    planned_restarts: int = 0
    pace: Pace = field(default_factory=Pace)
    light: LightStatus = field(default_factory=LightStatus)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is, for the birth message; fixed until the model or the configuration changes."""

    agent_version: str
    config_sha256: str
    board: BoardInfo
    runtime: RuntimeInfo | None = None
    model: ModelInfo | None = None
    commands: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """Something that the board is asked to do; ``service`` dispatches it.

    Attributes:
        op: one of a closed list of operations.
        id: names the request; its replies carry it.
        expires_s: unix time after which it must not be begun; None: never.
        args: what the operation takes.
        to_all: it was sent to every board of the site.
        spread_s: seconds over which the boards of a site spread; None when the request does not say.
        is_local: it was asked on the board itself, and is answered there.
        problem: why what came is no request; empty when it is one.
    """

    op: str
    id: str
    expires_s: float | None = None
    args: dict[str, Any] = field(default_factory=dict)
    to_all: bool = False
    spread_s: float | None = None
    is_local: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the fleet wants this board to be.

    Attributes:
        rev: rises with each word of the fleet; None: nothing is wanted any more.
        config: settings by dotted name.
        unsupported: parts that this version cannot do anything with, by name.
        problem: why what came is no such word; empty when it is one.
    """

    rev: int | None
    config: dict[str, Any] = field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the board has got with it.

    Attributes:
        rev_seen: the newest revision that came.
        rev_applied: the one in force; 0: none.
        phase: ``idle`` when nothing is desired; ``failed`` when the newest word was refused, and what was stays.
        error_code, error_message: why it failed; empty when it did not.
        bundle: what the model in use is called.
        previous: what it was before.
        config: the settings in force over those of the file.
    """

    rev_seen: int
    rev_applied: int
    phase: Literal["idle", "applied", "failed"]
    error_code: str = ""
    error_message: str = ""
    bundle: str = ""
    previous: str = ""
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a command: ``accepted``, ``running``, then exactly one of the others.

    Attributes:
        command: what was asked.
        status: how it went.
        code: a stable word for programs.
        message: one sentence for a person.
        data: what was asked for.
    """

    command: Command
    status: Literal["accepted", "running", "succeeded", "failed", "rejected", "expired"]
    code: str = "ok"
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)
