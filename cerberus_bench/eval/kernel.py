"""Whether the compiled kernel of the scores is used, or NumPy in its place.

Both give identical results. The kernel is left out of a build without a C compiler, and set aside
in a process started with CERBERUS_BENCH_NO_KERNEL=1.
"""

import os

try:
    # not `from cerberus_bench.eval import`, which raises another error while that is being imported
    import cerberus_bench.eval._kernel as _kernel
except ModuleNotFoundError:
    BUILT = False
else:
    BUILT = True

OFF = "CERBERUS_BENCH_NO_KERNEL"
USED = BUILT and os.environ.get(OFF) != "1"
"""Whether scores run through the compiled kernel."""

if BUILT:
    compiled = _kernel
