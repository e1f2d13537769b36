"""A process that watches the other workers of TF_CONFIG on behalf of one of them.

While TensorFlow connects, it lets no other thread of its process run, and waits without an end for a worker lost then.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from zscmr.utils.console import complain
from zscmr.utils.sockets import reach

LOOK, ANSWER = 5, 5  # seconds between looks at a worker; seconds in which it has to answer
GONE, GRACE = 30, 5  # seconds: without an answer, after which a worker is given up; in which the process ends itself
_COMMAND = (
    "import json, sys; sys.path[:], *words = json.loads(sys.argv[1]); "
    "from zscmr.training.peer_guard import watch; watch(*words)"
)


def start_guard(addresses, again):
    """Start `watch` for this process; a Popen with what it prints."""
    words = json.dumps([sys.path, os.getpid(), Path(sys.argv[0]).name, addresses, again])
    command = [sys.executable, "-c", _COMMAND, words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def watch(parent, name, addresses, again):
    """Print why the process `parent` has to end once a worker is lost; end it if it does not do so itself.

    `name`, `again`: of its script, and what continues the work, for the line that is said then.
    """
    answered = dict.fromkeys(addresses, time.monotonic())
    while os.getppid() == parent:
        time.sleep(LOOK)
        for address, last in answered.items():
            if answers(address):
                answered[address] = time.monotonic()
            elif time.monotonic() - last > GONE:
                fault = f"{address} has not answered for {GONE} s"
                print(fault, flush=True)
                time.sleep(GRACE)
                if os.getppid() == parent:
                    complain(lost_line(name, fault, again))
                    os.kill(parent, signal.SIGKILL)
                return


def lost_line(name, fault, again):
    """What is said of a lost worker: by which script, the fault, and what continues the work."""
    return f"{name}: TF_CONFIG: {fault}; {again}"


def answers(address):
    """Whether something listens at HOST:PORT."""
    try:
        reach(address, ANSWER)
    except (OSError, ValueError):
        return False
    return True
