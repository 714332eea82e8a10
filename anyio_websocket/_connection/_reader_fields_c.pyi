# The class of _reader_fields_py.py, which documents it.

from ._reader_fields_py import ReaderFields as ReaderFields
