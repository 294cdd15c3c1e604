"""The lease of a run folder at an address: one writer at a time, and a dead one holds up nobody."""

import pytest

from pipeline.errors import RunFolderError
from pipeline.storage import lease
from tests.unit.storage.at_address import opened, there, write


@pytest.mark.usefixtures("first")
def test_a_second_writer_is_refused_while_the_first_lives(tmp_path, monkeypatch):
    """A lease that is written again is held; a reader needs none."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    said: list[str] = []
    with opened(tmp_path / "two"):
        with (
            pytest.raises(RunFolderError, match="Another rote"),
            opened(tmp_path / "three", said.append),
        ):
            pass
        with opened(tmp_path / "three", writes=False):
            pass
    assert "waiting" in said[0]


@pytest.mark.usefixtures("first")
def test_the_lease_of_a_dead_run_is_taken_over(bucket, tmp_path, monkeypatch):
    """One that is not written again is of a run that was killed."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.1)
    bucket.put("runs/one/.lease", b"dead")
    with opened(tmp_path / "two") as folder:
        (folder / "manifest.json").write_text("second")
    assert there(bucket)["manifest.json"] == b"second"


@pytest.mark.usefixtures("first")
def test_a_lost_lease_writes_over_nothing(bucket, tmp_path, monkeypatch):
    """Who was taken for dead, and was not, says so and leaves what the other wrote."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1000)

    def overtaken():
        with opened(tmp_path / "two") as folder:
            write(folder, counts__all="mine")
            (folder / "manifest.json").write_text("mine")
            bucket.put("runs/one/manifest.json", b"theirs")

    with pytest.raises(RunFolderError, match="took over"):
        overtaken()
    assert there(bucket)["manifest.json"] == b"theirs"
