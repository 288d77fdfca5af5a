"""Whether the compiled kernel of the post-processing is used, or NumPy and OpenCV in its place.

Both give identical results. The kernel is left out of a build without a C compiler, and set aside
in a process started with CERBERUS_BENCH_NO_KERNEL=1.
"""

import os

try:
    import cerberus_bench.model_zoo._kernel as _kernel
except ModuleNotFoundError:
    BUILT = False
else:
    BUILT = True

OFF = "CERBERUS_BENCH_NO_KERNEL"
USED = BUILT and os.environ.get(OFF) != "1"
"""Whether maps become instances through the compiled kernel."""

if BUILT:
    compiled = _kernel
"""The compiled kernel; see `cerberus_bench.model_zoo.instances_compiled`."""
