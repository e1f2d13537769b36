"""A command of the project that begins when it is told to, so that a test can kill it or start several at once.

    python tests/helpers/started_command.py NAME FLAGS…

Import what the command needs, print `ready`, wait for a line on standard input, then run `zscmr NAME FLAGS…`.
"""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: modules that a command imports as it runs
LATER = {
    "pretrain": ["zscmr.training.stage1.dataset"],
    "train": ["zscmr.training.stage2.train", "zscmr.training.stage2.outcome", "zscmr.training.export"],
    "embed": ["zscmr.training.export"],
    "export": ["zscmr.training.export"],
    "search": ["lancedb"],
}


@contextlib.contextmanager
def started(flags):
    """A process `python WORDS…` that has printed `ready`; killed at the end."""
    command = [sys.executable, *map(str, flags)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, **pipes)
    try:
        line = process.stdout.readline()
        assert line == "ready\n", line + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def command(name, *flags):
    """Words for `started` that run a command of the project."""
    return [__file__, name, *flags]


def finish(words):
    """Run a process to its end, which has to be status 0; return its seconds from `ready`."""
    with started(words) as process:
        began = time.monotonic()
        _, faults = process.communicate("\n")
        assert process.returncode == 0, faults
        return time.monotonic() - began


def kill_after(words, seconds):
    """Kill a process (SIGKILL) so long after it began; return False if it had ended by then, with status 0."""
    with started(words) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.send_signal(signal.SIGKILL)  # nothing where it has ended
        _, faults = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL) and "Traceback" not in faults, (process.returncode, faults)
        return process.returncode != 0


def at_once(commands):
    """Begin several commands at the same moment; return [(status, what it wrote on standard error)]."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(started(words)) for words in commands]
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        faults = [process.communicate()[1] for process in processes]
        return [(process.returncode, text) for process, text in zip(processes, faults, strict=True)]


def main(name, *flags):
    sys.path.insert(0, str(ROOT))
    from zscmr import commands
    from zscmr.utils.processes import import_tensorflow

    if name != "search":
        import_tensorflow()
    for module in (f"zscmr.commands.{name}", *LATER[name]):
        importlib.import_module(module)
    print("ready", flush=True)
    sys.stdin.readline()
    sys.argv = [f"zscmr {name}", *flags]
    commands.run(name)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])
