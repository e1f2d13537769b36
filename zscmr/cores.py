"""How many threads this process may keep busy."""

import os


def cores():
    """The number of CPUs the process may run on: fewer than the machine has under `taskset` or in a container."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
