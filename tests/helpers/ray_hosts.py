"""A Ray cluster and an S3 server on hosts of this machine, and the command that embeds with both.

The storage holds pictures below s3://zscmr/photos. The workers have Ray and
what the package needs, and neither the package nor the encoder. Only the command knows the credentials.

    python tests/helpers/ray_hosts.py make COUNT     (on a host) fill the storage
    python tests/helpers/ray_hosts.py show GALLERY   (on a host) print {path: digest of the embedding}
    python tests/helpers/ray_hosts.py wait GALLERY COUNT         wait for so many pictures
"""

import hashlib
import io
import json
import sys
import time
from pathlib import Path

from helpers.hosts import SCRATCH
from helpers.project import ROOT

WORKERS = ("first", "second", "third")
SECRET = "verySecretKey0123456789"
AWS = {
    "AWS_ACCESS_KEY_ID": "zscmrKeyId0123456789",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT": "http://storage:5000",
    "AWS_ENDPOINT_URL": "http://storage:5000",
    "AWS_ALLOW_HTTP": "true",
}
_RAY = [str(Path(sys.executable).with_name("ray")), "start", "--object-store-memory", "100000000"]
QUIET = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}

_DRAW = """
from PIL import Image, ImageDraw
sheet = Image.new("RGB", (100, 100), "white")
ImageDraw.Draw(sheet).ellipse([10, 10, 90, 90], outline="red", width=4)
sheet.save("red.png")
"""


def picture(number):
    """The bytes of a small PNG."""
    import numpy as np
    from PIL import Image

    content = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def digest(vector):
    return hashlib.sha256(vector.tobytes()).hexdigest()[:16]


def key(number):
    return f"photos/{('ant', 'bee')[number % 2]}/{number:05}.png"


class RayHosts:
    """The hosts `head`, the workers and `storage` of a layout, in which all of that runs."""

    def __init__(self, hosts, workers=WORKERS):
        self.hosts = hosts
        head = [
            "--head",
            "--temp-dir",
            f"{SCRATCH}/ray",
            "--port",
            6379,
            "--num-cpus",
            0,
            "--include-dashboard",
            "false",
        ]
        self.start_ray("head", *head)
        for name in workers:
            self.start_worker(name)

    def serve(self, count):
        """Start the storage and fill it; give the head an encoder."""
        serve = f"exec {sys.executable} -m moto.server -H 0.0.0.0 -p 5000 >server.log 2>&1"  # a full pipe would stop it
        self.hosts["storage"].start("sh", "-c", serve)
        self.hosts["head"].run("cp", "-r", ROOT / "zscmr/retrieval/encoders/everyday", "encoder")
        self.hosts["head"].python(__file__, "make", count, **AWS)

    def begin_worker(self, name):
        """Start a worker that was killed."""
        self.hosts.begin(name)
        self.start_worker(name)

    def start_worker(self, name):
        self.start_ray(name, "--address", "head:6379", "--num-cpus", 1)

    def start_ray(self, name, *words):
        """Start Ray on a host, without the package."""
        host = self.hosts[name]
        host.run(*_RAY, *words, "--node-ip-address", host.address, **QUIET, PYTHONPATH="")

    def add(self, gallery, host="head"):
        """The command that embeds into s3://zscmr/`gallery`, begun on a host of the cluster."""
        words = ["--run", "encoder", "--gallery", f"s3://zscmr/{gallery}", "--windows", 0, "--add", "s3://zscmr/photos"]
        return self.hosts[host].start(sys.executable, ROOT / "search.py", *words, "--ray", "head:6379", **AWS, **QUIET)

    def rows(self, gallery):
        """{path: digest of the embedding} of a gallery, {} before it is there. Refuses one that lists a path twice."""
        return json.loads(self.hosts["head"].python(__file__, "show", gallery, **AWS)[0])

    def search(self, gallery):
        """What search.py prints for a red circle."""
        self.hosts["head"].python("-c", _DRAW)
        words = ["--run", "encoder", "--gallery", f"s3://zscmr/{gallery}", "--query", "red.png"]
        return self.hosts["head"].python(ROOT / "search.py", *words, **AWS)[0]

    def wait_for(self, count, gallery, process, seconds=120):
        """Wait until so many pictures are in the gallery; return their number."""
        try:
            return int(self.hosts["head"].python(__file__, "wait", gallery, count, seconds=seconds, **AWS)[0])
        finally:
            assert process.poll() is None, process.communicate()


def make(count):
    from concurrent.futures import ThreadPoolExecutor

    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(retries={"max_attempts": 20, "mode": "adaptive"}))
    client.create_bucket(Bucket="zscmr")
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda number: client.put_object(Bucket="zscmr", Key=key(number), Body=picture(number)),
                range(int(count)),
            )
        )


def opened(gallery):
    """The `Table`, None before it is there."""
    from zscmr.retrieval import Table
    from zscmr.utils.errors import BadInput

    try:
        return Table.existing(f"s3://zscmr/{gallery}")
    except BadInput:
        return None


def show(gallery):
    table, rows = opened(gallery), {}
    if table:
        pictures = table.pictures("photo")
        assert len({*pictures.paths}) == len(pictures.paths)
        for path, vector in zip(pictures.paths, pictures.vectors, strict=True):
            rows[path] = digest(vector)
    print(json.dumps(rows))


def wait(gallery, count):
    while (table := opened(gallery)) is None or table.count("photo") < int(count):
        time.sleep(0.2)
    print(table.count("photo"))


if __name__ == "__main__":
    {"make": make, "show": show, "wait": wait}[sys.argv[1]](*sys.argv[2:])
