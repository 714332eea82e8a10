# The class of _readiness_future_py.py, which documents it.

from ._readiness_future_py import SocketFuture as SocketFuture
