"""From the agent's records to the contract's payloads. Pure; figures are rounded to what they are good for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from agent.publish import contract
from agent.publish.contract import Scalar, Stamp
from agent.publish.inbound import TO_ALL
from agent.publish.plain import MAX_TEXT
from agent.publish.plain import rounded as _rounded
from agent.publish.plain import text as _text
from agent.publish.topics import is_ident, metric_dictionary
from agent.publish.translate_board import board_card, has_heat, health, sys, therm
from agent.records import (
    Answer,
    Command,
    Desired,
    Identity,
    ModelInfo,
    PerfReport,
    RuntimeInfo,
    Sighting,
    SketchBins,
    StageStats,
    Standing,
)
from agent.wording import no_json

__all__ = [
    "MAX_TEXT",
    "METRICS",
    "alarm",
    "birth",
    "command",
    "desired",
    "detections",
    "event",
    "has_heat",
    "health",
    "perf",
    "reply",
    "reported",
    "state",
    "sys",
    "therm",
]

MAX_REQUEST_BYTES = 16 * 1024
"""Largest request that is read."""

MAX_DESIRED_BYTES = 8 * 1024
"""Largest desired state that is read: the limit of the strictest of the common brokers (AWS IoT shadow)."""

BY_DOTTED_NAME = '; give settings by dotted name, as {"model.score_threshold": 0.4}'

P = TypeVar("P", bound=contract.Part)

METRICS = metric_dictionary()


def birth(stamp: Stamp, identity: Identity) -> contract.Birth:
    """Who this agent is."""
    return contract.Birth(
        **stamp,
        agent=identity.agent_version,
        config_sha256=identity.config_sha256,
        board=board_card(identity.board),
        metrics=METRICS,
        commands=identity.commands,
        runtime=_runtime_card(identity.runtime) if identity.runtime else None,
        model=_model_card(identity.model) if identity.model else None,
    )


def reply(stamp: Stamp, answer: Answer) -> contract.Reply:
    """How a command went."""
    command = answer.command
    return contract.Reply(
        **stamp,
        op=command.op,
        ref=command.id,
        status=answer.status,
        code=answer.code,
        message=_text(answer.message),
        data=answer.data,
    )


def command(topic: str, body: bytes) -> Command | None:
    """A request that came in, ``.../cmd/{op}/{id}``; None when nobody could be answered: its words are no names.

    None for an empty payload too: so a retained request is cleared, and nobody asks for anything by it.
    A payload that is none comes as a command with a ``problem``: it is to be rejected, with that as the reason.
    """
    words = topic.split("/")
    op, request_id = words[-2:]
    to_all = words[3:4] == [TO_ALL]
    if not body or not (is_ident(op) and is_ident(request_id)):
        return None
    request = _inbound(body, contract.Request, MAX_REQUEST_BYTES)
    if isinstance(request, str):
        return Command(op, request_id, to_all=to_all, problem=request)
    return Command(op, request_id, request.exp, request.args, to_all, request.spread_s)


def desired(body: bytes) -> Desired:
    """What the fleet wants; a payload that is none comes as a problem, to be reported."""
    if not body:
        return Desired(None)
    wish = _inbound(body, contract.Desired, MAX_DESIRED_BYTES)
    if isinstance(wish, str):
        return Desired(None, problem=wish)
    strange = tuple(part for part in ("sampling", "bundle") if getattr(wish, part) is not None)
    return Desired(wish.rev, wish.config, strange)


def reported(stamp: Stamp, standing: Standing) -> contract.Reported:
    """How far the board has got with what is desired."""
    fault = contract.Fault(code=standing.error_code, message=_text(standing.error_message))
    return contract.Reported(
        **stamp,
        rev_seen=standing.rev_seen,
        rev_applied=standing.rev_applied,
        phase=standing.phase,
        error=fault if standing.error_code else None,
        bundle=_text(standing.bundle) or None,
        previous=_text(standing.previous) or None,
        config=standing.config,
    )


def _inbound(body: bytes, kind: type[P], most_bytes: int) -> P | str:
    """A payload that came in, or why it is none.

    An unknown field makes it none: half a wish must not be carried out as if it were the whole.
    """
    if len(body) > most_bytes:
        return f"it has {len(body)} bytes; at most {most_bytes} are read"
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:  # nested: a list in a list in a list...
        return no_json(error, kind) + (BY_DOTTED_NAME if "$.config" in str(error) else "")


def perf(stamp: Stamp, report: PerfReport) -> contract.Perf:
    """One window, as it is stored: with the sketch of every stage."""
    return contract.Perf(
        **stamp,
        window_s=_rounded(report.duration_s, 3),
        frames=report.frames,
        fps=_rounded(report.fps, 3),
        dropped=report.dropped,
        detections=report.detections,
        stages={name: _stage(stats) for name, stats in report.stages.items() if stats.count},
    )


def alarm(stamp: Stamp, alarm_id: str, message: str) -> contract.Alarm:
    """An alarm that is active."""
    return contract.Alarm(**stamp, alarm=alarm_id, message=_text(message))


def event(stamp: Stamp, kind: str, data: Mapping[str, Scalar]) -> contract.Event:
    """Something that happened."""
    plain = {key: _text(value) if isinstance(value, str) else value for key, value in data.items()}
    return contract.Event(**stamp, event=kind, data=plain)


def detections(stamp: Stamp, seen: Sighting) -> contract.Detections:
    """What is there, or that it is not known."""
    if not seen.known:
        return contract.Detections(**stamp, known=False, reason=_text(seen.reason))
    boxes = tuple(
        contract.Box(
            label=_name(box.label),
            confidence=round(box.confidence, 3),
            xyxy=tuple(round(side, 4) for side in box.xyxy),  # type: ignore[arg-type]  # four in, four out
            zones=tuple(map(_name, box.zones)),
        )
        for box in seen.boxes
    )
    return contract.Detections(
        **stamp,
        known=True,
        sequence=seen.sequence,
        age_s=_rounded(seen.age_s, 6),
        counts=_named(seen.counts),
        zones={_name(zone): _named(counts) for zone, counts in seen.zones.items()},
        boxes=boxes,
    )


def state(stamp: Stamp, name: contract.StateName, reason: str) -> contract.State:
    """Presence."""
    return contract.State(**stamp, state=name, reason=_text(reason) or None)


def _stage(stats: StageStats) -> contract.Stage:
    return contract.Stage(
        n=stats.count,
        max_s=_rounded(stats.max_s, 6),
        mean_s=_rounded(stats.mean_s, 6),
        p50_s=_rounded(stats.p50_s, 6),
        p90_s=_rounded(stats.p90_s, 6),
        p99_s=_rounded(stats.p99_s, 6),
        sketch=_sketch(stats.bins),
    )


def _sketch(bins: SketchBins) -> contract.Sketch:
    """Raises ValueError for bins of another schema: they would merge into nonsense."""
    if bins.relative_accuracy != contract.SKETCH_ACCURACY:
        raise ValueError(f"a sketch of accuracy {bins.relative_accuracy}, where all have {contract.SKETCH_ACCURACY}")
    return contract.Sketch(offset=bins.offset, counts=bins.counts, zero=bins.zero_count)


def _runtime_card(runtime: RuntimeInfo) -> contract.RuntimeCard:
    return contract.RuntimeCard(
        backend=runtime.backend,
        version=runtime.version,
        num_threads=runtime.num_threads,
        delegate=runtime.delegate or None,
    )


def _model_card(model: ModelInfo) -> contract.ModelCard:
    return contract.ModelCard(
        name=_text(model.name),
        version=model.version,
        sha256=model.sha256,
        input=model.input,
        num_classes=model.num_classes,
        arena_bytes=model.arena_bytes,
    )


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return {_name(label): count for label, count in counts.items()}


def _name(name: str) -> str:
    """A class's or zone's name, cut where a name could never end: a hundred boxes must fit into one message."""
    return _text(name)[:100]
