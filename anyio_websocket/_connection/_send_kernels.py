"""What sends a message in one step if nothing waits: in C, if that was built.

In Python there is no such step.
"""

from __future__ import annotations

from .._pure import raise_if_pure

try:
    raise_if_pure()
    from ._send_kernels_c import BudgetFields, OutboxFields, YieldFields, quick_sends
except ImportError:
    from ._send_kernels_py import BudgetFields, OutboxFields, YieldFields, quick_sends

__all__ = ["BudgetFields", "OutboxFields", "YieldFields", "quick_sends"]
