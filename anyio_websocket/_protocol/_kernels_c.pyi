# The functions of _kernels_py.py, which documents them.

from ._kernels_py import frame_unmasked as frame_unmasked
from ._kernels_py import make_frame as make_frame
from ._kernels_py import mask as mask
from ._kernels_py import mask_into as mask_into
from ._kernels_py import take_compressed as take_compressed
from ._kernels_py import take_messages as take_messages
from ._kernels_py import take_undecoded as take_undecoded
