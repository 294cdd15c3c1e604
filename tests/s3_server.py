"""A small server of the S3 protocol on loopback, in memory, that can misbehave when told to.

It speaks what the client needs: lists in pages, ranges, conditions on tags, uploads in parts.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 3  # keys of a page of a list, so that small tests have several
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "top-secret-key",
    "AWS_REGION": "us-east-1",
}


class Bucket(dict[str, Any]):
    """The objects of a bucket: (bytes, tag, seconds) by key."""

    def put(self, key, data):
        """Write an object; return its tag, as in S3 a digest of its bytes."""
        tag = f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324
        self[key] = (data, tag, int(time.time()))
        return tag


class Server(ThreadingHTTPServer):
    """The server: its buckets, its log of requests, and what it does wrong.

    Attributes:
        buckets: by name.
        requests: (method, path) of each.
        fault: given (method, path), tells what goes wrong: None, "500", "slow", "cut", or the code
            of a refusal.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.buckets, self.uploads, self.requests = {"data": Bucket()}, {}, []
        self.fault: Callable[[str, str], str | None] = lambda _method, _path: None
        self.lock = threading.Lock()

    @property
    def url(self):
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        """Say nothing."""

    def _begin(self):
        """Return the bucket, the key and the query; None when the request was refused."""
        split = urlsplit(self.path)
        bucket, _, key = unquote(split.path).lstrip("/").partition("/")
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.server.requests.append((self.command, f"{bucket}/{key}"))
        self.wrong: str | None = self.server.fault(self.command, f"{bucket}/{key}")
        if self.wrong == "slow":
            time.sleep(0.3)
        if self.wrong == "500":
            return self._refuse(500, "InternalError")
        if self.wrong not in (None, "slow", "cut"):
            return self._refuse(403, self.wrong)
        if f"Credential={ENVIRONMENT['AWS_ACCESS_KEY_ID']}/" not in self.headers["Authorization"]:
            return self._refuse(403, "InvalidAccessKeyId")
        if bucket not in self.server.buckets:
            return self._refuse(404, "NoSuchBucket")
        query = {k: v[0] for k, v in parse_qs(split.query, keep_blank_values=True).items()}
        return self.server.buckets[bucket], key, query

    def _refuse(self, status, code):
        self._answer(status, f"<Error><Code>{code}</Code><Message>x</Message></Error>".encode())

    def _answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            if getattr(self, "wrong", None) == "cut" and len(body) > 1:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
                return
            self.wfile.write(body)

    def do_GET(self):
        """Answer with an object, a part of one, or a list."""
        if (found := self._begin()) is None:
            return
        bucket, key, query = found
        if not key:
            self._list(bucket, query)
            return
        if key not in bucket:
            self._refuse(404, "NoSuchKey")
            return
        data, tag, seconds = bucket[key]
        if self.headers.get("If-Match", tag) != tag:
            self._refuse(412, "PreconditionFailed")
            return
        about = {"ETag": tag, "Last_Modified": formatdate(seconds, usegmt=True)}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            self._answer(200, data, **about)
            return
        low, high = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        span = {"Content_Range": f"bytes {low}-{high}/{len(data)}"}
        self._answer(206, data[low : high + 1], **about, **span)

    do_HEAD = do_GET

    def _list(self, bucket, query):
        keys = sorted(key for key in bucket if key.startswith(query.get("prefix", "")))
        first = int(query.get("continuation-token", 0))
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(bucket[key][0])}</Size>"
            f"<ETag>{escape(bucket[key][1])}</ETag><LastModified>"
            f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(bucket[key][2]))}"
            "</LastModified></Contents>"
            for key in keys[first : first + PAGE]
        )
        more = first + PAGE < len(keys)
        token = f"<NextContinuationToken>{first + PAGE}</NextContinuationToken>" if more else ""
        self._answer(
            200,
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}"
            "</ListBucketResult>".encode(),
        )

    def do_PUT(self):
        """Write an object, or a part of an upload."""
        if (found := self._begin()) is None:
            return
        bucket, key, query = found
        if "uploadId" in query:
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = self.body
            self._answer(200, ETag=f'"{query["partNumber"]}"')
            return
        with self.server.lock:
            there = bucket.get(key)
            tag = self.headers.get("If-Match")
            new = self.headers.get("If-None-Match") == "*"
            if (new and there) or (tag and (not there or there[1] != tag)):
                self._refuse(412, "PreconditionFailed")
            else:
                self._answer(200, ETag=bucket.put(key, self.body))

    def do_POST(self):
        """Begin or end an upload in parts, or delete several objects."""
        if (found := self._begin()) is None:
            return
        bucket, key, query = found
        if "delete" in query:
            names = re.findall(r"<Key>([^<]*)</Key>", self.body.decode())
            for name in names:
                bucket.pop(name, None)
            told = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            self._answer(200, f"<DeleteResult>{told}</DeleteResult>".encode())
        elif "uploads" in query:
            name = str(len(self.server.uploads))
            self.server.uploads[name] = {}
            told = f"<UploadId>{name}</UploadId>"
            self._answer(
                200,
                f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>".encode(),
            )
        else:
            own = self.server.uploads.pop(query["uploadId"])
            tag = bucket.put(key, b"".join(own[part] for part in sorted(own)))
            told = f"<ETag>{escape(tag)}</ETag>"
            self._answer(
                200,
                f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>".encode(),
            )

    def do_DELETE(self):
        """Delete an object."""
        if (found := self._begin()) is None:
            return
        bucket, key, _ = found
        bucket.pop(key, None)
        self._answer(204)


@contextmanager
def serving():
    """Give a server for a while."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
