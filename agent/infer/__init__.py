"""Inference: input tensor -> the model's answer. The only room that makes interpreters.

``Detector`` runs one model on the thread that made it. ``choose_backend`` finds LiteRT or tflite-runtime. ``prove``
loads a file in a child process first: a damaged model, or a delegate built for another runtime, kills the process in
which it is loaded (tflite-runtime 2.14 dies of a COCO SSD cut to 2,000,000 bytes inside ``Interpreter()``). ``Tenant``
keeps such a child, and asks it for answer after answer.
"""

from agent.infer.backend import Backend, choose_backend
from agent.infer.detector import Detector
from agent.infer.taps import Taps
from agent.infer.tenant import Reply, Tenant
from agent.infer.worker import Proof, prove

__all__ = ["Backend", "Detector", "Proof", "Reply", "Taps", "Tenant", "choose_backend", "prove"]
