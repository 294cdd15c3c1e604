"""A bucket of a server of the S3 protocol."""

import pytest

from tests import s3_server
from tests.unit.storage.at_address import opened, write


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


@pytest.fixture
def first(bucket, tmp_path):
    """Publish a first version from one machine; return its scratch folder."""
    assert not bucket
    with opened(tmp_path / "one") as folder:
        write(folder, kept__a="1", kept___SUCCESS="", counts__all="x")
        (folder / "manifest.json").write_text("first")
    return tmp_path / "one"
