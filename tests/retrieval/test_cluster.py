"""Pictures embedded by several machines of a Ray cluster, one of which dies."""

import threading
import time
from functools import partial

import pytest
from helpers import toy_gallery
from helpers.toy_gallery import IDENTITY, ToyEncoder, check_complete, write_files
from PIL import Image

from zscmr.retrieval import Table
from zscmr.retrieval.cluster import Cluster


@pytest.fixture
def machines(monkeypatch):
    """A Ray cluster of three raylets of one CPU each, the first of which is the head; the others."""
    ray = pytest.importorskip("ray", reason="requirements-ray.txt is not installed: no test of clusters")
    from ray.cluster_utils import Cluster as Raylets

    ray.cloudpickle.register_pickle_by_value(toy_gallery)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes a token to the home directory
    monkeypatch.setenv("RAY_worker_niceness", "0")
    raylets = Raylets(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [raylets.add_node(num_cpus=1) for _ in range(2)]
    yield raylets, nodes
    ray.shutdown()
    raylets.shutdown()


@pytest.mark.slow
def test_a_machine_that_dies_loses_and_doubles_nothing(machines, tmp_path):
    """40 shards; a raylet is killed once the first of them are written."""
    raylets, nodes = machines
    write_files(tmp_path / "in", 399)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "in/red.png")
    gallery = Table.open(tmp_path / "g", IDENTITY)
    cluster = Cluster(raylets.address, partial(ToyEncoder, 0.02), shard=10)
    done = []

    def add():
        done.append(gallery.update("photo", tmp_path / "in", ToyEncoder(), lambda *_: None, cluster))

    thread = threading.Thread(target=add)
    thread.start()
    while gallery.count("photo") < 50 and thread.is_alive():
        time.sleep(0.1)
    raylets.remove_node(nodes[0], allow_graceful=False)
    assert gallery.count("photo") < 400  # half-way
    thread.join(120)
    assert done[0].added == 400
    check_complete(gallery, tmp_path / "in")
    assert str(tmp_path / "in/red.png") not in dict(gallery.without_colours(tmp_path / "in"))
    (tmp_path / "in/ant/00000.png").write_text("bad")
    assert gallery.update("photo", tmp_path / "in", ToyEncoder(), lambda *_: None, cluster).removed == 1


def test_no_cluster_is_one_line(refused):
    pytest.importorskip("ray", reason="requirements-ray.txt is not installed: no test of clusters")
    cluster = Cluster("127.0.0.1:1", ToyEncoder)
    assert refused(cluster._connected).startswith("--ray 127.0.0.1:1: no cluster there (")
