"""The layout itself: hosts reach each other and nothing else, and go with whoever laid them out."""

import os
import signal
import subprocess
import sys
import time

from helpers.project import ROOT

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 9), timeout=2)"
LISTEN = "import socket; s = socket.create_server(('', 9)); print('ready', flush=True); s.accept(); s.accept()"


def test_hosts_share_a_network_and_nothing_else(hosts):
    pair = hosts("one", "two")
    one, two = pair["one"], pair["two"]
    assert one.run("hostname")[0] == "one\n" and two.run("hostname")[0] == "two\n"
    one.run("touch", "mine")
    assert two.run("ls")[0] == ""
    listening = one.start(sys.executable, "-c", LISTEN)
    assert listening.stdout.readline() == "ready\n"
    two.python("-c", CONNECT, "one")
    assert "refused" in two.python("-c", CONNECT, "127.0.0.1", status=1)[1]  # that of `one` is another
    assert "unreachable" in two.python("-c", CONNECT, "192.0.2.1", status=1)[1]
    pair.unplug("one")
    assert "timed out" in two.python("-c", CONNECT, "one", status=1)[1]
    pair.plug("one")
    two.python("-c", CONNECT, "one")
    one.kill()
    pair.begin("one")
    assert "refused" in two.python("-c", CONNECT, "one", status=1)[1]


def test_hosts_go_with_a_process_that_is_killed(hosts):
    code = (
        "import time; from helpers.hosts import Hosts\n"
        "with Hosts('one') as hosts:\n"
        "    hosts['one'].start('sleep', '600')\n"
        "    print(hosts['one'].pid, hosts['switch'].pid, flush=True); time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        pids = process.stdout.readline().split()
        assert len(pids) == 2 and all(os.path.exists(f"/proc/{pid}") for pid in pids)
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.05)
