"""NVIDIA's driver without torch, for what can be done before torch is imported."""

import ctypes
import threading

_LIBRARY = "libcuda.so.1"


def start_first_device() -> threading.Thread:
    """Make the context of the first visible CUDA device, in the thread that is returned.

    To be called before torch is imported: the import and the making of the context then go side by
    side, and torch, which works in this very context (the driver's "primary" one), finds it there.
    Does nothing on a machine without a driver or a device; whoever asks for one says so.
    """
    thread = threading.Thread(target=_retain_primary_context, daemon=True)
    thread.start()
    return thread


def _retain_primary_context() -> None:
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError:
        return
    device, context = ctypes.c_int(), ctypes.c_void_p()
    if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), 0) == 0:
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
