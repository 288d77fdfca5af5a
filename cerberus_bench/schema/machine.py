"""What of the machine this process may use."""

import os
import sys


def usable_cores() -> int:
    """Cores for this process: those it may run on, or fewer where Slurm gives a task fewer."""
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS and Windows have none
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(cores, int(granted)) if granted.isdecimal() and int(granted) else cores


def peak_memory_gib() -> float:
    """Most memory that this process has held so far, GiB."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
