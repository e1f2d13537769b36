"""Pictures embedded by a Ray cluster of several hosts, photos and gallery on the storage of another; hosts fail."""

import os
from pathlib import Path

import pytest
from helpers.ray_hosts import SECRET, WORKERS, RayHosts, digest, key, picture

from zscmr.retrieval.encoder import Encoder

pytestmark = pytest.mark.skipif(
    "ZSCMR_HOSTS" not in os.environ, reason="ZSCMR_HOSTS is not set: hosts that fail, minutes each, are not tested"
)
COUNT = 300


@pytest.fixture
def cluster(hosts):
    """Skips where Ray or a server for storage is missing."""
    for package, file in (("ray", "requirements-ray.txt"), ("moto.server", "requirements-dev.txt")):
        pytest.importorskip(package, reason=f"{file} is not installed: no test of clusters")
    cluster = RayHosts(hosts("head", "storage", *WORKERS))
    cluster.serve(COUNT)
    return cluster


@pytest.mark.slow
def test_hosts_that_fail_lose_and_double_nothing(cluster):
    """A worker loses its power half-way and the storage its network; then a command is killed, and two go on at once
    while another worker has no network."""
    command = cluster.add("one")
    cluster.wait_for(COUNT // 4, "one", command)
    check_secret()
    cluster.hosts.unplug("third")
    cluster.hosts["third"].kill()
    cluster.hosts.cut("storage", 10)
    check_complete(cluster, "one", command)

    command = cluster.add("two")
    assert cluster.wait_for(COUNT // 4, "two", command) < COUNT
    command.kill()
    command.communicate()
    commands = [cluster.add("two"), cluster.add("two")]
    cluster.hosts.cut("second", 10)
    check_complete(cluster, "two", *commands)
    for name in ("head", *WORKERS[:2]):
        cluster.hosts[name].run("grep", "-rlF", SECRET, "/srv", status=1)


def check_complete(cluster, gallery, *commands):
    """The commands end well; every picture is in the gallery once, with the embedding that one process makes."""
    for command in commands:
        out, faults = command.communicate(timeout=200)
        assert command.returncode == 0, faults
        assert f"; {COUNT} in the gallery" in out
    rows, encoder = cluster.rows(gallery), Encoder.load()
    assert sorted(rows) == sorted(f"s3://zscmr/{key(number)}" for number in range(COUNT))
    for number in range(0, COUNT, 60):
        (vector,) = encoder.embed(picture(number), "photo")
        assert rows[f"s3://zscmr/{key(number)}"] == digest(vector)


def check_secret():
    """No command line of this machine, those of the hosts among them, has the credentials."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:  # it has ended
            continue
        assert SECRET.encode() not in line
