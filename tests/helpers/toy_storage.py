"""Fixture: object storage on this machine. A test module takes it with `pytest_plugins`."""

import logging

import pytest


@pytest.fixture
def storage(monkeypatch):
    """A client of the server, which holds the empty bucket `zscmr`."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed: no test of object storage")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: no test of object storage")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    url = f"http://127.0.0.1:{running.get_host_and_port()[1]}"
    for name, value in (
        ("ACCESS_KEY_ID", "key"),
        ("SECRET_ACCESS_KEY", "secret"),
        ("REGION", "us-east-1"),
        ("DEFAULT_REGION", "us-east-1"),
        ("ENDPOINT_URL", url),
        ("ENDPOINT", url),
        ("ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="zscmr")
    yield client
    running.stop()
