"""A bucket of a server of the S3 protocol."""

import pytest

from tests import s3_server


@pytest.fixture(scope="module")
def server():
    """Give a server of the S3 protocol."""
    with s3_server.serving() as server:
        yield server


@pytest.fixture
def bucket(server, monkeypatch):
    """Give an empty bucket of it, and the environment that leads there."""
    for name, value in {**s3_server.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    server.buckets["data"] = s3_server.Bucket()
    server.fault = lambda _method, _path: None
    server.requests.clear()
    return server.buckets["data"]
