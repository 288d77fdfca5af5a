"""The compiled part of the package; everything else is in pyproject.toml.

The score kernel is optional: without a compiler, or with CERBERUS_BENCH_NO_KERNEL=1, the package
is built without it and computes the same scores with NumPy.
"""

import os
import sys
import sysconfig

from setuptools import Extension, setup

# One binary for every CPython from 3.11 on; builds without the GIL have no stable ABI.
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")
FOLDER = "cerberus_bench/eval"

kernel = Extension(
    "cerberus_bench.eval._kernel",
    sources=[
        f"{FOLDER}/_kernel.c",
        f"{FOLDER}/_kernel_hausdorff.c",
        f"{FOLDER}/_kernel_scan.c",
        f"{FOLDER}/_kernel_table.c",
    ],
    depends=[f"{FOLDER}/_kernel.h"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
    py_limited_api=STABLE_ABI,
    extra_compile_args=["/O2", "/std:c11"] if sys.platform == "win32" else ["-O3", "-std=c11"],
    optional=True,
)

setup(
    ext_modules=[] if os.environ.get("CERBERUS_BENCH_NO_KERNEL") == "1" else [kernel],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
