"""Pictures embedded by a Ray cluster of several hosts, photos and gallery on the storage of another; hosts fail."""

from pathlib import Path

import pytest
from helpers.hosts import THOROUGH
from helpers.project import ROOT
from helpers.ray_hosts import SECRET, WORKERS, RayHosts, digest, key, picture

from zscmr.retrieval.encoder import Encoder
from zscmr.retrieval.searcher import WEIGHED

COUNT = 120


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
    """A worker loses its power and the storage its network."""
    command = cluster.add("one")
    cluster.wait_for(COUNT // 4, "one", command)
    check_secret()
    cluster.hosts.unplug("third")
    cluster.hosts["third"].kill()
    cluster.hosts.cut("storage", 10)
    check_complete(cluster, "one", command)
    assert WEIGHED in cluster.search("one")  # the workers have read the colours
    for name in ("head", *WORKERS[:2]):
        cluster.hosts[name].run("grep", "-rlF", SECRET, "/srv", status=1)


@THOROUGH
@pytest.mark.slow
def test_commands_that_share_a_gallery_lose_and_double_nothing(cluster):
    """A command is killed, and two go on at once while a worker has no network."""
    command = cluster.add("one")
    assert cluster.wait_for(COUNT // 4, "one", command) < COUNT
    command.kill()
    command.communicate()
    commands = [cluster.add("one"), cluster.add("one")]
    cluster.hosts.cut("second", 10)
    check_complete(cluster, "one", *commands)


@THOROUGH
@pytest.mark.slow
def test_a_command_that_has_lost_what_it_needs_ends(cluster):
    """Within a minute, with one line: without storage, workers, or head. The same command goes on."""
    command = cluster.add("one")
    cluster.wait_for(COUNT // 4, "one", command)
    cluster.hosts.unplug("storage")
    check_lost(command, "s3://zscmr/one")
    cluster.hosts.plug("storage")
    check_complete(cluster, "one", cluster.add("one"))

    command = cluster.add("two")
    cluster.wait_for(COUNT // 4, "two", command)
    for name in WORKERS:
        cluster.hosts.unplug(name)
        cluster.hosts[name].kill()
    check_lost(command, "any machine with CPUs")
    for name in WORKERS:
        cluster.begin_worker(name)
    check_complete(cluster, "two", cluster.add("two"))

    cluster.hosts["first"].run("cp", "-r", ROOT / "zscmr/retrieval/encoders/everyday", "encoder")
    command = cluster.add("three", "first")
    cluster.wait_for(COUNT // 4, "three", command)
    cluster.hosts.unplug("head")
    cluster.hosts["head"].kill()
    check_lost(command, "the head")


def check_lost(command, part):
    _, faults = command.communicate(timeout=60)
    assert (command.returncode, faults) == (2, f"search.py: --ray head:6379: no answer from {part}\n")


def check_complete(cluster, gallery, *commands):
    """The commands end well; every picture is in the gallery once, with the embedding that one process makes."""
    for command in commands:
        out, faults = command.communicate(timeout=200)
        assert (command.returncode, faults) == (0, "")
        *progress, last = out.splitlines()
        assert f"; {COUNT} in the gallery" in last and all(line.startswith("photo: ") for line in progress), out
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
