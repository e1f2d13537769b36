"""Several hosts on this machine: namespaces of Linux, joined by a bridge that leads nowhere else.

Each host has its own network, host name, processes, shared memory and scratch folder. The namespaces have no names:
they go with their processes, and these with the process that laid the hosts out, even if it is killed.
"""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from helpers.project import ROOT

NETWORK = "10.213.77"  # of the private range; no route leads out of it
SCRATCH = "/srv"  # a folder of every Debian; each host has its own there. Short, as paths of sockets have to be
SECONDS = 900  # after which a host ends by itself
THOROUGH = pytest.mark.skipif(
    "ZSCMR_HOSTS" not in os.environ, reason="ZSCMR_HOSTS is not set: not all faults of hosts, minutes each, are tested"
)
_DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]
_SPACES = ["--net", "--uts", "--ipc", "--mount", "--pid"]
_UNSHARE = [*_DIE_WITH_PARENT, "unshare", *_SPACES, "--mount-proc", "--fork", "--kill-child"]
_BEGIN = """set -e
mount -t tmpfs scratch "$2"
mount -t tmpfs shm /dev/shm
printf "$3" >"$2/.hosts"
mount --bind "$2/.hosts" /etc/hosts
hostname "$1"
ip link set lo up
echo ready
trap '' CHLD
exec sleep "$4"
"""  # processes whose parents have ended are reaped: CHLD stays ignored


def why_not():
    """Why hosts cannot be laid out here, in words; empty if they can."""
    if sys.platform != "linux":
        return "hosts are namespaces of Linux"
    try:
        words = [*_UNSHARE, "sh", "-c", f"ip link add name bridge type bridge && mount -t tmpfs none {SCRATCH}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no right to lay out hosts ({error})"
    return f"no right to lay out hosts ({done.stderr.strip()})" if done.returncode else ""


class Host:
    """A host of `Hosts`: runs commands. `address` is its IP address."""

    def __init__(self, name, address, names):
        self.name, self.address = name, address
        words = [*_UNSHARE, "sh", "-c", _BEGIN, "sh", name, SCRATCH, names, str(SECONDS)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n", f"host {name} did not start"
        children = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        with open(children) as file:
            self.pid = int(file.read())
        self.port = f"port{self.pid}"  # of the switch
        self.environment = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        self.environment |= {"HOME": SCRATCH, "TMPDIR": SCRATCH, "PYTHONUNBUFFERED": "1"}
        self.environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "tests")))

    def start(self, *words, **environment):
        """A process on the host, with its output in pipes; killing it kills the command."""
        enter = ["nsenter", "--target", self.pid, *_SPACES, "env", f"--chdir={SCRATCH}", *_DIE_WITH_PARENT]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*map(str, (*enter, *words))], env=self.environment | environment, **pipes)

    def run(self, *words, seconds=60, status=0, **environment):
        """Standard output and standard error of a command on the host, which has to end with `status` in time."""
        process = self.start(*words, **environment)
        try:
            out, faults = process.communicate(timeout=seconds)
        finally:
            process.kill()
        assert process.returncode == status, f"{self.name}: {words}: {process.returncode}\n{out}\n{faults}"
        return out, faults

    def python(self, *words, **more):
        """`run` of this Python."""
        return self.run(sys.executable, *words, **more)

    def kill(self):
        """End the host at once with all that runs on it, as a power cut does."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class Hosts:
    """Hosts by name; a context manager that takes them away."""

    def __init__(self, *names):
        self._hosts, self._stack = {}, contextlib.ExitStack()
        self._addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(("switch", *names), start=1)}

    def __enter__(self):
        try:
            self._begin("switch")
            self._ip("switch", "link add name bridge up type bridge")
            for name in list(self._addresses)[1:]:
                self.begin(name)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def __getitem__(self, name):
        return self._hosts[name]

    def begin(self, name):
        """Start a host, also one that was killed, and plug it in."""
        host = self._begin(name)
        card = "02:00:00:00:00:{:02x}".format(int(host.address.rpartition(".")[2]))  # as before, as others remember it
        self._ip("switch", f"link add name {host.port} type veth peer name eth0 address {card} netns {host.pid}")
        self._ip(name, f"address add {host.address}/24 dev eth0")
        self._ip(name, "link set eth0 up")
        self.plug(name)

    def cut(self, name, seconds):
        """Lose whatever comes from a host or goes to it, for so long."""
        self.unplug(name)
        time.sleep(seconds)
        self.plug(name)

    def plug(self, name):
        self._ip("switch", f"link set {self[name].port} up master bridge")

    def unplug(self, name):
        self._ip("switch", f"link set {self[name].port} nomaster")

    def _begin(self, name):
        lines = ["127.0.0.1 localhost", *(f"{address} {host}" for host, address in self._addresses.items())]
        self._hosts[name] = Host(name, self._addresses[name], r"\n".join(lines) + r"\n")
        self._stack.callback(self._hosts[name].kill)
        return self._hosts[name]

    def _ip(self, name, words):
        """Run `ip` in the network of a host, from outside, where the processes of all hosts are known."""
        enter = ["nsenter", "--target", str(self._hosts[name].pid), "--net", "ip"]
        subprocess.run([*enter, *words.split()], check=True, timeout=20)
