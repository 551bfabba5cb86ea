"""The settings as typed tables: a sentence and a unit beside each field, the default behind it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.config.correction import CorrectionConfig
from agent.config.governor import GovernorConfig
from agent.config.limits import MeasureConfig
from agent.config.outlets import DetectionsConfig, HomeAssistantConfig, PrometheusConfig
from agent.config.parity import ParityConfig
from agent.config.sampling import SampleConfig
from agent.records import Heads

Seconds = Annotated[float, Meta(ge=0.0, extra={"unit": "s"})]
Positive = Annotated[float, Meta(gt=0.0, extra={"unit": "s"})]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Ident = Annotated[str, Meta(pattern=r"^[a-z0-9-]{0,64}\Z")]
Place = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]

_GIVEN = "_given"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[table]`` of the file."""


class DeviceConfig(Section, frozen=True, kw_only=True):
    """Who this board is in the fleet, and where it keeps its state."""

    site: Annotated[Place, Meta(description="Place in the fleet, the third word of every topic: a-z, 0-9 and -.")] = (
        "home"
    )
    id: Annotated[
        Ident,
        Meta(description="Name of this board, unique in its site; empty: made from the host name and the machine id."),
    ] = ""
    state_dir: Annotated[
        str,
        Meta(
            description="Folder for what must survive a restart; empty: $STATE_DIRECTORY, or ~/.local/state/edge-agent."
        ),
    ] = ""


OFFERED = (
    "color",
    "resize",
    "mean",
    "std",
    "heads",
    "label_offset",
    "score_threshold",
    "class_thresholds",
    "iou_threshold",
)
"""Settings of ``[model]`` that a bundle's manifest gives where nobody wrote them down."""


class ModelConfig(Section, frozen=True, kw_only=True):
    """The detector, and how its input and output are meant."""

    path: Annotated[str, Meta(description="The .tflite file.")] = ""
    labels: Annotated[str, Meta(description="Label file, one name a line; empty: the one packed into the model.")] = ""
    label_offset: Annotated[
        Annotated[int, Meta(ge=-1000, le=1000)] | None,
        Meta(description="Class number + this = line of the label file; needed only where its length leaves it open."),
    ] = None
    bundle: Annotated[
        str, Meta(description="A .bundle file instead of path and labels; demo: is the one in the package.")
    ] = ""
    trusted_keys: Annotated[
        list[str],
        Meta(description="minisign public key files; with any, a bundle must be signed by one of them."),
    ] = []
    score_threshold: Annotated[Share, Meta(description="Detections below it are not objects.")] = 0.5
    class_thresholds: Annotated[dict[str, Share], Meta(description="Score threshold of single classes, by name.")] = {}
    classes: Annotated[list[str], Meta(description="Only these classes, by name; empty: all.")] = []
    iou_threshold: Annotated[
        Share,
        Meta(description="Overlap above which the lesser of two boxes of one class is dropped (raw heads only)."),
    ] = 0.5
    max_detections: Annotated[
        int, Meta(ge=1, le=10_000, description="At most this many detections a frame, the best ones.")
    ] = 100
    min_size: Annotated[Share, Meta(description="Smallest side of a box, relative to the same side of the frame.")] = (
        0.0
    )
    resize: Annotated[
        Literal["stretch", "letterbox"],
        Meta(description="stretch, as SSDs are trained; letterbox keeps the aspect and pads with grey."),
    ] = "stretch"
    color: Annotated[
        Literal["rgb", "bgr", "gray"], Meta(description="Channel order that the model was trained on.")
    ] = "rgb"
    mean: Annotated[
        list[float],
        Meta(
            max_length=3,
            description="Subtracted from each channel (0-255) first; empty: from the model, else assumed and said.",
        ),
    ] = []
    std: Annotated[
        list[float],
        Meta(
            max_length=3,
            description="Each channel is divided by this next; empty: from the model, else assumed and said.",
        ),
    ] = []
    heads: Annotated[
        Heads | None, Meta(description="Anchors and coding of an SSD with raw heads; see docs/models.md.")
    ] = None


class RuntimeConfig(Section, frozen=True, kw_only=True):
    """What runs the model."""

    backend: Annotated[
        Literal["auto", "litert", "tflite-runtime"],
        Meta(description="auto: LiteRT where it is installed, else tflite-runtime."),
    ] = "auto"
    num_threads: Annotated[int, Meta(ge=1, le=64, description="Threads of one invoke.")] = 1
    delegate: Annotated[
        str, Meta(description="edgetpu, or the path of an external delegate's .so; empty: the CPU.")
    ] = ""
    delegate_options: Annotated[
        dict[str, str], Meta(description='Options handed to the delegate, such as device = "usb:0".')
    ] = {}
    prove_timeout_s: Annotated[Positive, Meta(description="How long the first load in a child process may take.")] = (
        60.0
    )


class CameraConfig(Section, frozen=True, kw_only=True):
    """Where frames come from, and when the camera counts as down."""

    uri: Annotated[
        str,
        Meta(
            description="/dev/video0, usb:0, picamera:, rtsp://..., http://... (MJPEG), a video file, "
            "a folder of pictures, one picture, or demo: (a rendered conveyor belt)."
        ),
    ] = ""
    width: Annotated[
        int, Meta(ge=0, le=16384, description="Asked of a USB or Pi camera, pixels; 0: what the device prefers.")
    ] = 0
    height: Annotated[
        int, Meta(ge=0, le=16384, description="Asked of a USB or Pi camera, pixels; 0: what the device prefers.")
    ] = 0
    fps: Annotated[
        float,
        Meta(
            ge=0.0, le=1000.0, description="Asked of a USB or Pi camera, frames a second; 0: what the device prefers."
        ),
    ] = 0.0
    fourcc: Annotated[
        str, Meta(pattern=r"^([ -~]{4})?\Z", description="Pixel format asked of a V4L2 device, four letters.")
    ] = "MJPG"
    loop: Annotated[bool, Meta(description="Begin a file or folder again at its end.")] = False
    pace: Annotated[
        Literal["real", "fast"],
        Meta(
            description="Files and folders: real time by frame timestamps (late frames are dropped), "
            "or every frame as fast as it is taken."
        ),
    ] = "real"
    folder_fps: Annotated[
        float, Meta(gt=0.0, le=1000.0, description='Frames a second of a folder of pictures at pace = "real".')
    ] = 5.0
    open_timeout_s: Annotated[Positive, Meta(description="Deadline for opening a stream.")] = 5.0
    read_timeout_s: Annotated[Positive, Meta(description="Deadline for one frame of a network stream.")] = 3.0
    stall_s: Annotated[Positive, Meta(description="No frame for this long: the camera is stalled.")] = 5.0
    frozen_s: Annotated[
        Seconds, Meta(description="The same picture to the last bit for this long: frozen; 0 switches it off.")
    ] = 10.0
    black_s: Annotated[Seconds, Meta(description="A black picture for this long: black; 0 switches it off.")] = 5.0
    black_luma: Annotated[
        float,
        Meta(
            ge=0.0,
            le=255.0,
            description="A picture whose brightest luma (99th percentile) is below this is black, 0-255.",
        ),
    ] = 16.0
    reconnect_min_s: Annotated[
        Positive, Meta(description="First delay before a camera is opened again; doubles, with jitter.")
    ] = 0.5
    reconnect_max_s: Annotated[Positive, Meta(description="Longest such delay.")] = 30.0


class ZoneConfig(Section, frozen=True, kw_only=True):
    """One named polygon; an object counts by the centre of its box."""

    name: Annotated[str, Meta(min_length=1, description="Name of the zone.")]
    polygon: Annotated[
        list[tuple[Share, Share]],
        Meta(min_length=3, description="Corners as [x, y], relative to the frame: [0, 0] is the top left."),
    ]
    mode: Annotated[
        Literal["include", "exclude", "mask", "count"],
        Meta(
            description="include: only objects in some such zone count; exclude: objects in it do not; "
            "mask: its pixels are painted grey before the model sees them; count: nothing is left out, "
            "[detections] counts what is in it."
        ),
    ] = "include"
    classes: Annotated[list[str], Meta(description="Classes that the zone speaks of; empty: all.")] = []


class MqttConfig(Section, frozen=True, kw_only=True):
    """The broker. Without a host the agent measures on and publishes nothing."""

    host: Annotated[str, Meta(description="Broker's name or address; empty: no broker.")] = ""
    port: Annotated[int, Meta(ge=0, le=65535, description="0: 8883 with TLS, else 1883.")] = 0
    username: Annotated[str, Meta(description="User name; empty: none.")] = ""
    password_file: Annotated[str, Meta(description="File with the password, or a name in $CREDENTIALS_DIRECTORY.")] = ""
    tls: Annotated[bool, Meta(description="Encrypt, and check the broker's certificate.")] = False
    ca_file: Annotated[
        str, Meta(description="CA certificates, PEM; empty: the system's. Setting it switches TLS on.")
    ] = ""
    cert_file: Annotated[str, Meta(description="Our certificate, PEM, for brokers that ask for one.")] = ""
    key_file: Annotated[str, Meta(description="Its private key, PEM, or a name in $CREDENTIALS_DIRECTORY.")] = ""
    profile: Annotated[
        Literal["live", "normal", "metered"],
        Meta(
            description="How sparing with bytes: live (each window as JSON, at most 6 MB a day), "
            "normal (batched and deflated, 1.5 MB), metered (1 MB)."
        ),
    ] = "normal"
    resolution_s: Annotated[
        Annotated[float, Meta(ge=0.0, le=3600.0)] | None,
        Meta(
            description="Windows are merged up to this length before they are sent; 0: sent as they are; "
            "unset: by profile, 30 s to 90 s.",
            extra={"unit": "s"},
        ),
    ] = None
    keepalive_s: Annotated[
        Annotated[int, Meta(ge=5, le=3600)] | None,
        Meta(
            description="Seconds of silence after which the broker calls us lost; unset: by profile, 35 to 240.",
            extra={"unit": "s"},
        ),
    ] = None
    session_s: Annotated[
        int,
        Meta(
            ge=0,
            le=7 * 86_400,
            description="How long the broker keeps commands for a board that is away; 0: not at all. "
            "MQTT 3.1.1 knows no time: there it keeps them as long as it likes.",
            extra={"unit": "s"},
        ),
    ] = 3600
    connect_timeout_s: Annotated[Positive, Meta(description="Deadline for one connection attempt.")] = 10.0
    reconnect_max_s: Annotated[Positive, Meta(description="Longest delay between two attempts (full jitter).")] = 120.0
    health_s: Annotated[
        float, Meta(ge=1.0, le=3600.0, description="How often the health card is sent, seconds.", extra={"unit": "s"})
    ] = 300.0
    queue_bytes: Annotated[
        int,
        Meta(
            ge=65536, description="Most memory for messages that wait for the broker, bytes.", extra={"unit": "bytes"}
        ),
    ] = 4 * 2**20
    disk_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Most disk for messages that wait for the broker, in the state directory; "
            "0: they wait in memory only.",
            extra={"unit": "bytes"},
        ),
    ] = 32 * 2**20
    max_age_s: Annotated[
        float,
        Meta(ge=60.0, description="What waits for the broker for longer is dropped, and counted.", extra={"unit": "s"}),
    ] = 7 * 86_400.0
    live_s: Annotated[
        float,
        Meta(
            ge=5.0,
            le=3600.0,
            description="A window that waits longer than it was meant to goes to the disk, and then to the backlog.",
            extra={"unit": "s"},
        ),
    ] = 60.0
    backlog_bytes_s: Annotated[
        float,
        Meta(
            ge=256.0, description="How fast the backlog is sent after an outage, bytes a second.", extra={"unit": "B/s"}
        ),
    ] = 8192.0


class LogConfig(Section, frozen=True, kw_only=True):
    """What is logged."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged.")] = (
        "info"
    )


class Config(Section, frozen=True, kw_only=True, dict=True):
    """The whole file."""

    device: Annotated[DeviceConfig, Meta(description="Who this board is.")] = DeviceConfig()
    model: Annotated[ModelConfig, Meta(description="The detector.")] = ModelConfig()
    runtime: Annotated[RuntimeConfig, Meta(description="What runs it.")] = RuntimeConfig()
    camera: Annotated[CameraConfig, Meta(description="Where frames come from.")] = CameraConfig()
    zones: Annotated[list[ZoneConfig], Meta(description="Named polygons.")] = []
    measure: Annotated[MeasureConfig, Meta(description="How telemetry is taken.")] = MeasureConfig()
    governor: Annotated[GovernorConfig, Meta(description="Keeps the board from throttling.")] = GovernorConfig()
    correction: Annotated[CorrectionConfig, Meta(description="Follows the light.")] = CorrectionConfig()
    parity: Annotated[ParityConfig, Meta(description="A second way of running the model.")] = ParityConfig()
    sample: Annotated[SampleConfig, Meta(description="The frames worth keeping.")] = SampleConfig()
    mqtt: Annotated[MqttConfig, Meta(description="The broker.")] = MqttConfig()
    detections: Annotated[DetectionsConfig, Meta(description="What the camera sees, told.")] = DetectionsConfig()
    homeassistant: Annotated[HomeAssistantConfig, Meta(description="Announces the board.")] = HomeAssistantConfig()
    prometheus: Annotated[PrometheusConfig, Meta(description="The health card for Prometheus.")] = PrometheusConfig()
    log: Annotated[LogConfig, Meta(description="What is logged.")] = LogConfig()

    @property
    def given(self) -> frozenset[str]:
        """Dotted names of the settings that somebody wrote down, also where the value is the default's.

        No setting itself: it is in no file and no digest, and two of equal settings are equal whoever wrote what.
        """
        found: frozenset[str] = self.__dict__.get(_GIVEN, frozenset())
        return found


def with_given(config: Config, names: frozenset[str]) -> Config:
    """The same object, marked with the dotted names of what somebody wrote down; done once, when it is made."""
    config.__dict__[_GIVEN] = names
    return config
