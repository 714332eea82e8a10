"""What the soaked servers are set to, and what may be added on a busy machine."""

from __future__ import annotations

from typing import Final

# seconds; shorter than the defaults, so that each of them ends many times in a run
CONNECT_TIMEOUT: Final = 8.0
DISCONNECT_TIMEOUT: Final = 4.0
PING_INTERVAL: Final = 5.0
PING_TIMEOUT: Final = 5.0
SEND_TIMEOUT: Final = 8.0

# pending handshakes that the server allows which scripts crowd
CROWD: Final = 20

# seconds that anything may take longer than promised while a thousand others are served
# on the same core
SLACK: Final = 5.0
