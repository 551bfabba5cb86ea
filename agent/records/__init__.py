"""Frozen values that travel down the street, from stage to stage.

Units are in the names; times are seconds on ``time.monotonic`` unless a name says otherwise; boxes are ``xyxy`` in
frame pixels; pixels are BGR, as OpenCV gives them. Checked when made where a wrong value could travel far.
"""

from agent.records.arrays import FloatArray, IntArray, Pixels, Tensor
from agent.records.board import (
    HOLD_CAUSES,
    BlindCause,
    CoolingDevice,
    Episode,
    EpisodeTotal,
    HoldCause,
    MemoryGrowth,
)
from agent.records.correction import Correction
from agent.records.frame import CameraState, CameraStatus, Detections, Frame, FrameResult, Labels, Placement, StageTimes
from agent.records.learned import NOTHING_LEARNED, Learned, Retuned
from agent.records.light import ChangeCause, LightChange, LightState, LightStatus
from agent.records.model import MOST_ANCHORS, AnchorMap, Heads, ModelCard, ModelInfo, Outputs, RuntimeInfo, TensorSpec
from agent.records.pace import Heat, Pace, PaceState
from agent.records.presence import Box, Sighting
from agent.records.telemetry import (
    Answer,
    BoardInfo,
    BoardReading,
    Command,
    Desired,
    Health,
    Identity,
    PerfReport,
    ProcessReading,
    SensorStatus,
    SketchBins,
    StageStats,
    Standing,
    ThermalReading,
)

__all__ = [
    "HOLD_CAUSES",
    "MOST_ANCHORS",
    "NOTHING_LEARNED",
    "AnchorMap",
    "Answer",
    "BlindCause",
    "BoardInfo",
    "BoardReading",
    "Box",
    "CameraState",
    "CameraStatus",
    "ChangeCause",
    "Command",
    "CoolingDevice",
    "Correction",
    "Desired",
    "Detections",
    "Episode",
    "EpisodeTotal",
    "FloatArray",
    "Frame",
    "FrameResult",
    "Heads",
    "Health",
    "Heat",
    "HoldCause",
    "Identity",
    "IntArray",
    "Labels",
    "Learned",
    "LightChange",
    "LightState",
    "LightStatus",
    "MemoryGrowth",
    "ModelCard",
    "ModelInfo",
    "Outputs",
    "Pace",
    "PaceState",
    "PerfReport",
    "Pixels",
    "Placement",
    "ProcessReading",
    "Retuned",
    "RuntimeInfo",
    "SensorStatus",
    "Sighting",
    "SketchBins",
    "StageStats",
    "StageTimes",
    "Standing",
    "Tensor",
    "TensorSpec",
    "ThermalReading",
]
