"""The compiled parts of the package; everything else is in pyproject.toml.

The kernels are optional: without a compiler, or with CERBERUS_BENCH_NO_KERNEL=1, the package is
built without them and computes the same results with NumPy and OpenCV.
"""

import os
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# One binary for every CPython from 3.11 on; builds without the GIL have no stable ABI.
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")


def kernel(wing: str) -> Extension:
    """The kernel of one wing: every _kernel*.c in its folder."""
    folder = Path("cerberus_bench") / wing
    return Extension(
        f"cerberus_bench.{wing}._kernel",
        sources=sorted(path.as_posix() for path in folder.glob("_kernel*.c")),
        depends=[f"{folder.as_posix()}/_kernel.h"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
        py_limited_api=STABLE_ABI,
        extra_compile_args=["/O2", "/std:c11"] if sys.platform == "win32" else ["-O3", "-std=c11"],
        optional=True,
    )


NO_KERNEL = os.environ.get("CERBERUS_BENCH_NO_KERNEL") == "1"

setup(
    ext_modules=[] if NO_KERNEL else [kernel("eval"), kernel("model_zoo")],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
