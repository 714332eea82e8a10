# The function of _send_each_py.py, which documents it.

from ._send_each_py import send_each as send_each
