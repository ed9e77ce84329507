"""Memory that is free, given back to the system."""

import ctypes
import gc
import sys

import pyarrow as pa


def give_back() -> None:
    """What one piece of work has freed must not be a second floor under the next one's."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)
