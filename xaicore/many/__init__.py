"""Many inputs: one model explained for thousands of files or arrays, on any ``concurrent.futures.Executor``, resumable at any moment."""

from xaicore.many.run import explain_many
from xaicore.many.store import Many
from xaicore.many.task import ModelRef

__all__ = ["Many", "ModelRef", "explain_many"]
