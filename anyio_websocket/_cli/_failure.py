"""How a command ends: its exit codes, and the error that is one line of text."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the process ends with. A signal ends it with 128 and its number."""

    DONE = 0
    FAILED = 1  # no connection, or nothing to listen on
    USAGE = 2  # the command line is wrong; argparse's code
    LOST = 3  # the connection ended, and not normally
    BAD_INPUT = 4  # a line of the input cannot be sent
    OUTPUT_CLOSED = 141  # 128 and SIGPIPE, as if that signal had ended the process


class Failure(Exception):
    """A command has failed; the text is the line that says why.

    :param code: the exit code
    :param text: what happened and what to do; ``""`` if nobody needs to be told

    """

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def first_failure(group: BaseExceptionGroup[Failure]) -> Failure:
    """Return one of the failures: one line is enough."""
    first = group.exceptions[0]
    return first_failure(first) if isinstance(first, BaseExceptionGroup) else first
