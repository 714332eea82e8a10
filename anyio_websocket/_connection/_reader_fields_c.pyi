# The classes of _reader_fields_py.py, which documents them.

from ._reader_fields_py import InboxFields as InboxFields
from ._reader_fields_py import ReaderFields as ReaderFields
