"""Settings of what other programs live on: detections, Home Assistant, Prometheus. All of it is off by default."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Hold = Annotated[float, Meta(ge=0.1, le=3600.0, extra={"unit": "s"})]


class Outlet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[table]`` of the file."""


class HomeAssistantConfig(Outlet, frozen=True, kw_only=True):
    """Announces the board to Home Assistant; see docs/integrations.md."""

    enabled: Annotated[bool, Meta(description="Publish a discovery message.")] = False
    prefix: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z", description="Home Assistant's discovery prefix."),
    ] = "homeassistant"
    snapshot_s: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86400.0,
            extra={"unit": "s"},
            description="A picture with its boxes is sent each so many seconds, 5 or more; "
            "0: only when the command snapshot asks for one.",
        ),
    ] = 0.0


class PrometheusConfig(Outlet, frozen=True, kw_only=True):
    """The health card for Prometheus; needs the extra `prometheus`. See docs/integrations.md."""

    textfile: Annotated[
        str,
        Meta(pattern=r"^(.+\.prom)?\Z", description="File for node_exporter, .prom; best on tmpfs."),
    ] = ""
    interval_s: Annotated[
        float, Meta(ge=1.0, le=3600.0, extra={"unit": "s"}, description="How often it is written, seconds.")
    ] = 15.0
    listen: Annotated[
        str,
        Meta(description='Serve them as well, on loopback only: "127.0.0.1:9101"; empty: the agent never listens.'),
    ] = ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``; raises ValueError unless it is a port on loopback."""
        host, _, port = self.listen.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not loopback")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{port!r} is no port")
        return host, int(port)


class DetectionsConfig(Outlet, frozen=True, kw_only=True):
    """What the camera sees, told on `P/d` for automations; see docs/integrations.md."""

    mode: Annotated[
        Literal["off", "change", "rate"],
        Meta(description="change: when a count has changed and lasted; rate: each interval_s."),
    ] = "off"
    interval_s: Annotated[Hold, Meta(description='Between two messages at mode = "rate".')] = 1.0
    appear_s: Annotated[Hold, Meta(description="More objects count once they were there for this long.")] = 0.5
    hold_s: Annotated[Hold, Meta(description="Fewer objects count once they were gone for this long.")] = 2.0
    min_frames: Annotated[int, Meta(ge=1, le=1000, description="And over at least this many frames, both ways.")] = 3
    repeat_s: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86400.0,
            extra={"unit": "s"},
            description="Said again after this long without news, since nothing is retained; 0: never.",
        ),
    ] = 300.0
    classes: Annotated[
        list[str], Meta(description="Only these classes, by name; empty: all that the model finds.")
    ] = []
    zones: Annotated[
        list[str],
        Meta(description="Zones that are counted apart, by name; empty: all of mode include and count."),
    ] = []
