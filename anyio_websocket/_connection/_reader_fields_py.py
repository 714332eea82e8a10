"""What ``_reader_fields_c.c`` adds to the reader, where it is not built: nothing."""

from __future__ import annotations


class ReaderFields:
    """The attributes of a `Reader` that are looked at for each message.

    In C each is at a known offset, and Python code reads them as any other attribute.
    """

    __slots__ = (
        "_ahead",
        "_connection",
        "_fairness",
        "_future",
        "_inbox",
        "_last_yield",
        "_others",
        "_outbox",
        "_receive_size",
        "_receivers",
        "_state",
        "_undecoded",
        "_was_full",
        "_woken",
        "reading",
        "reads_begun",
    )


class InboxFields:
    """The attribute of an `Inbox` that is looked at for each message."""

    __slots__ = ("messages",)
