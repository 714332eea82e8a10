# The class of _receive_kernels_py.py, which documents it.

from ._receive_kernels_py import ReaderFields as ReaderFields
