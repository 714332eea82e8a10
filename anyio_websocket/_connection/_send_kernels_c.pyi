# What _send_kernels_py.py has, which documents it.

from ._send_kernels_py import BudgetFields as BudgetFields
from ._send_kernels_py import OutboxFields as OutboxFields
from ._send_kernels_py import YieldFields as YieldFields
from ._send_kernels_py import quick_sends as quick_sends
