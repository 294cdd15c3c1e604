"""Tars of documents, web archives and Wikipedia's dumps: each record a row, bad ones apart."""

import bz2
import gzip
import io
import json
import tarfile

import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents, shard_schema
from pipeline.corpus.room import give_room
from pipeline.errors import CorruptFile, InputError


def read(path):
    """Return the texts, ids and reasons of rejection of a file, and its columns."""
    config = InputConfig()
    (shard,), _ = find_shards([str(path)])
    check_shard(shard, config)
    batches = [*read_documents(shard, config)]
    texts = [text for batch in batches for text in batch.texts.to_pylist()]
    names = [name for batch in batches for name in batch.ids.to_pylist()]
    reasons = [(bad.row, bad.reason) for batch in batches for bad in batch.rejected]
    return texts, names, reasons, shard_schema(shard, config).names


def tar(members):
    """Return the bytes of a tar with these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


SAMPLES = {
    "a/000.txt": b"first text",
    "a/000.json": json.dumps({"url": "http://a", "n": 1}).encode(),
    "a/000.jpg": b"\xff\xd8",
    "a/001.json": json.dumps({"text": "second", "n": 2}).encode(),
    "a/002.txt": b"\xff\xfe bad",
    "a/003.json": b"{no json",
    "a/004.seg.txt": b"of another column",
}


@pytest.mark.parametrize(
    ("name", "pack"),
    [("x.tar", bytes), ("x.tar.gz", gzip.compress), ("x.tgz", gzip.compress)],
)
def test_members_of_a_key_are_one_row(tmp_path, name, pack):
    """As webdataset writes them; what is no UTF-8 or JSON costs its row; images are named."""
    (tmp_path / name).write_bytes(pack(tar(SAMPLES)))
    texts, names, reasons, columns = read(tmp_path / name)
    assert (texts, names) == (["first text", "second"], ["a/000", "a/001"])
    assert reasons == [(2, "invalid_utf8"), (3, "not_json"), (4, "null_text")]
    assert columns == ["__key__", "url", "n", "text", "__members__", "seg.txt"]


def test_a_tar_that_is_cut_or_none_is_refused(tmp_path):
    """Not read short; a member that is too long names the budget."""
    whole = tar({"a.txt": b"x" * 5000, "b.txt": b"y" * 5000})
    for data in (whole[:8000], whole[:5700], whole[:5632], b"no tar at all" * 100):
        (tmp_path / "x.tar").write_bytes(data)
        with pytest.raises(CorruptFile, match="no whole tar"):
            read(tmp_path / "x.tar")
    (tmp_path / "x.tar").write_bytes(whole)
    give_room(1000)
    with pytest.raises(InputError, match="longer than there is memory"):
        read(tmp_path / "x.tar")


def record(kind, content, number, media="text/plain", more=b""):
    """Return one record of a web archive."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"WARC-Target-URI: http://a/{number}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"Content-Type: {media}\r\nContent-Length: {len(more + content)}\r\n\r\n"
    )
    return head.encode() + more + content + b"\r\n\r\n"


HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
IMAGE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
OF_HTTP = "application/http; msgtype=response"


def test_texts_of_web_archives_are_rows(tmp_path):
    """WET text, HTML in its own encoding; requests, images and notes are no rows."""
    pytest.importorskip("warcio")
    records = [
        record("warcinfo", b"software: x", 0, "application/warc-fields"),
        record("conversion", "Grüße".encode(), 1),
        record("response", "<p>caf\xe9".encode("latin-1"), 2, OF_HTTP, HTTP),
        record("response", b"\x89PNG", 3, OF_HTTP, IMAGE),
        record("conversion", b"\xff\xff", 4),
    ]
    (tmp_path / "x.warc.gz").write_bytes(b"".join(map(gzip.compress, records)))
    (tmp_path / "x.warc.wet").write_bytes(b"".join(records))
    for name in ("x.warc.gz", "x.warc.wet"):
        texts, names, reasons, columns = read(tmp_path / name)
        assert texts == ["Grüße", "<p>café"]
        assert names == ["<urn:uuid:1>", "<urn:uuid:2>"]
        assert reasons == [(2, "invalid_utf8")]
        assert columns == ["id", "url", "date", "content_type", "text"]
    whole = (tmp_path / "x.warc.wet").read_bytes()
    for cut in (whole[:-6], b"nothing of the kind\n"):
        (tmp_path / "x.warc.wet").write_bytes(cut)
        with pytest.raises(CorruptFile, match="no whole web archive"):
            read(tmp_path / "x.warc.wet")


DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
<siteinfo><sitename>Wikipedia</sitename></siteinfo>
<page><title>A &amp; B</title><ns>0</ns><id>12</id><revision><id>99</id>
<timestamp>2024-01-01T00:00:00Z</timestamp><contributor><id>7</id></contributor>
<text bytes="9" xml:space="preserve">'''A''' is &lt;b&gt; &amp; more.</text></revision></page>
<page><title>C</title><ns>0</ns><id>13</id><redirect title="A &amp; B" />
<revision><id>98</id><text>#REDIRECT [[A &amp; B]]</text></revision></page>
</mediawiki>
"""


def test_pages_of_a_dump_are_rows(tmp_path):
    """Packed in several streams as the dumps are; wikitext as written, redirects marked."""
    half = len(DUMP) // 2
    packed = bz2.compress(DUMP[:half].encode()) + bz2.compress(DUMP[half:].encode())
    path = tmp_path / "enwiki-20240101-pages-articles-multistream.xml.bz2"
    path.write_bytes(packed)
    texts, names, reasons, columns = read(path)
    assert texts == ["'''A''' is <b> & more.", "#REDIRECT [[A & B]]"]
    assert (names, reasons) == (["12", "13"], [])
    assert columns == ["id", "title", "ns", "redirect", "timestamp", "text"]


def test_other_xml_is_no_dump(tmp_path):
    """By its name not read at all; of that name refused, as are entities that multiply a text."""
    (tmp_path / "sitemap.xml").write_text("<urlset/>")
    with pytest.raises(InputError, match="no file that rote reads"):
        find_shards([str(tmp_path)])
    bomb = f'<!DOCTYPE m [<!ENTITY a "{"x" * 100}">]><mediawiki>&a;</mediawiki>'
    deep = f"<mediawiki>{'<a>' * 100}x{'</a>' * 100}</mediawiki>"
    for text in ("<urlset/>", bomb, deep, DUMP[:300]):
        path = tmp_path / "x-pages-articles.xml"
        path.write_text(text)
        with pytest.raises(CorruptFile, match="no dump"):
            read(path)
