# The function of _send_each_py.py, which documents it.

from ._sockets import SocketTransport

def send_each(
    transports: list[SocketTransport], data: bytes, /
) -> list[tuple[int, int]]: ...
