"""Addresses such as s3://bucket/folder: what lies there, and reading and writing it.

S3, Google Cloud and Azure are spoken to by obstore, any other address by fsspec, to read. Who may
do so is told by the usual environment alone (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...): an address
with a password in it is refused, and no message quotes what a server said but its error code.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pipeline.errors import ConfigError, InputError, PipelineError, TransientIOError
from pipeline.installed import parts, require

OBJECT_STORES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
TIMEOUTS = {"timeout": "120s", "connect_timeout": "10s"}
REFUSED = (
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "403",
    "401",
)
ALLOW = "allow it, or name the account in the environment (docs/storage.md)"


@dataclass(frozen=True)
class Listed:
    """An object at an address.

    Attributes:
        name: below the address.
        bytes: its size.
        modified_ns: when it was written, as the storage tells it.
        tag: changes with its bytes (its ETag, where there is one).
    """

    name: str
    bytes: int
    modified_ns: int
    tag: str


class Storage(Protocol):
    """What lies at an address.

    Attributes:
        address: of it.
    """

    address: str

    def objects(self) -> list[Listed]:
        """Return all objects below the address, or at it, by name."""

    def read(self, name: str, start: int, end: int, tag: str = "") -> bytes:
        """Return the bytes from `start` to `end` of an object that still has a tag."""

    def write(self, name: str, source: Path | bytes, *, tag: str | None = None) -> str:
        """Write an object whole and return its tag.

        Args:
            name: below the address.
            source: a file, or the bytes.
            tag: of the object to replace, "" when there must be none; None for either.

        Raises:
            FileExistsError: there is one, or another one.
        """

    def delete(self, names: list[str]) -> None:
        """Delete objects."""


def is_address(text: str) -> bool:
    """Tell whether a path is a remote address, such as s3://bucket/folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) is not None


def storage_at(address: str) -> Storage:
    """Return what lies at an address; nothing is asked of it yet.

    Raises:
        ConfigError: the address is not one, or holds a password, or a part of rote is missing.
    """
    parts_of = urlsplit(address)
    if "://" not in address or not parts_of.netloc:
        raise ConfigError(
            "An address of object storage has two slashes and a bucket.",
            where=address,
            expected="such as s3://bucket/folder",
            fix="quote it, so that nothing shortens the slashes",
        )
    if "@" in parts_of.netloc and parts_of.scheme not in ("abfs", "abfss"):
        raise ConfigError(
            "An address may not hold an account or a password: it is written into the run folder.",
            where=f"{parts_of.scheme}://...",
            fix="name them in the environment (docs/storage.md)",
        )
    require("storage")
    if parts_of.scheme.lower() in OBJECT_STORES:
        return _ObjectStore(address.rstrip("/"))
    return _OtherStorage(address.rstrip("/"))


@contextlib.contextmanager
def reaching(address: str, writes: bool = False) -> Iterator[None]:
    """Translate what a storage says into errors of the pipeline.

    Raises:
        InputError: it is not there, or access to it is refused.
        TransientIOError: it did not answer, also when it was asked again.
    """
    from obstore import exceptions

    try:
        yield
    except (PipelineError, FileExistsError):
        raise
    except (
        exceptions.PermissionDeniedError,
        exceptions.UnauthenticatedError,
        PermissionError,
    ) as error:
        what = "may not be written to" if writes else "may not be read"
        raise InputError(
            f"An address {what}.", where=address, found=_code(error), fix=ALLOW
        ) from None
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        raise _nothing(address, _code(error)) from None
    except exceptions.InvalidPathError:
        raise InputError(
            "The name of an object cannot be that of a file.",
            where=address,
            found="a name with an empty step, or one that leads up",
            fix="rename it, or name the others",
        ) from None
    except (exceptions.BaseError, OSError) as error:
        raise _failed(address, error) from None


def _nothing(address: str, found: str = "nothing there") -> InputError:
    return InputError(
        "Nothing lies at an address.",
        where=address,
        found=found,
        fix="check the bucket, the region and the path",
    )


def _failed(address: str, error: Exception) -> PipelineError:
    """Return the error for one that has no kind of its own: told by the code in it."""
    code = _code(error)
    if code in ("NoSuchBucket", "NoSuchKey", "404"):
        return _nothing(address, code)
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "400"):
        return InputError(
            "A bucket lies in another region, or the request was refused as malformed.",
            where=address,
            found=code,
            fix="name its region: AWS_REGION=...",
        )
    if code in ("PreconditionFailed", "412"):
        return InputError(
            "An object was written anew after it was listed.",
            where=address,
            found=code,
            fix="run the same command again",
        )
    if code in REFUSED:
        return InputError(
            "The account of the environment is refused.", where=address, found=code, fix=ALLOW
        )
    return TransientIOError(
        "A storage did not answer as it should, also when it was asked again.",
        where=address,
        found=code,
        fix="check the network and run the same command again: what is finished stays",
    )


def _code(error: Exception) -> str:
    """Return the error code in what a storage said, or the kind of the error: no more of it."""
    said = str(error)
    found = re.search(r"<Code>(\w{1,60})</Code>", said) or re.search(
        r"(?:status code: |HTTP status \w+ \(?)(\d{3})", said
    )
    return found.group(1) if found else type(error).__name__


class _ObjectStore:
    """S3, Google Cloud or Azure, by obstore."""

    def __init__(self, address: str) -> None:
        from obstore.store import from_url

        self.address = address
        endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
        scheme, _, rest = address.partition("://")
        bucket, _, self._prefix = rest.partition("/")
        client: dict[str, Any] = {**TIMEOUTS, "allow_http": endpoint.startswith("http://")}
        retries = {"max_retries": 5, "retry_timeout": timedelta(seconds=90)}
        options: dict[str, Any] = {"client_options": client, "retry_config": retries}
        if endpoint and scheme.startswith("s3"):
            options["endpoint"] = endpoint
        self._versions: dict[str, str] = {}  # by tag: what Google's conditions are about
        with parts(), reaching(address):
            self._store = from_url(f"{scheme}://{bucket}", **options)

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._prefix, name) if part)

    def objects(self) -> list[Listed]:
        """Return all objects below the address, or at it, by name."""
        import obstore

        with reaching(self.address):
            found = [
                self._listed(self._below(meta["path"]), meta)
                for batch in obstore.list(self._store, prefix=self._prefix or None)
                for meta in batch
            ]
            if not found and self._prefix:
                found = [self._listed("", obstore.head(self._store, self._prefix))]
        return sorted(found, key=lambda one: one.name)

    def _listed(self, name: str, meta: Any) -> Listed:  # noqa: ANN401 - obstore's
        modified = int(meta["last_modified"].timestamp() * 1_000_000_000)
        return Listed(name, meta["size"], modified, self._tag(meta) or str(modified))

    def _tag(self, meta: Any) -> str:  # noqa: ANN401
        """Return the tag of an object, and remember the version that it is of."""
        tag = str(meta["e_tag"] or "")
        if meta.get("version"):
            self._versions[tag] = str(meta["version"])
        return tag

    def _below(self, path: str) -> str:
        return path.removeprefix(self._prefix).lstrip("/")

    def read(self, name: str, start: int, end: int, tag: str = "") -> bytes:
        """Return some bytes of an object that still has a tag."""
        import obstore

        options: Any = {"range": (start, end)} if end > start else {}
        if tag:
            options["if_match"] = tag
        with reaching(self.address):
            return bytes(obstore.get(self._store, self._path(name), options=options).bytes())

    def write(self, name: str, source: Path | bytes, *, tag: str | None = None) -> str:
        """Write an object whole and return its tag.

        Raises:
            FileExistsError: there is one, or another one.
        """
        import obstore
        from obstore import exceptions

        mode: Any = "overwrite" if tag is None else "create"
        if tag:
            version = self._versions.get(tag)
            mode = {"e_tag": tag, **({"version": version} if version else {})}
        with reaching(self.address, writes=True):
            try:
                whole = None if tag is None else False  # of parts, no condition can be made
                path = self._path(name)
                made = obstore.put(self._store, path, source, mode=mode, use_multipart=whole)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
                raise FileExistsError(name) from error
        return self._tag(made)

    def delete(self, names: list[str]) -> None:
        """Delete objects."""
        import obstore

        with reaching(self.address, writes=True):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._store, self._path(name))


class _OtherStorage:
    """Any other address, read by fsspec."""

    def __init__(self, address: str) -> None:
        import fsspec

        self.address = address
        try:
            self._files, self._path = fsspec.url_to_fs(address)
        except (ValueError, ImportError) as error:
            raise ConfigError(
                "No installed library reads such an address.",
                where=address,
                found=type(error).__name__,
                expected="s3:// gs:// az://, or one that fsspec reads",
                fix="install the library that fsspec names for it",
            ) from error

    def objects(self) -> list[Listed]:
        """Return all files below the address, or at it, by name.

        Raises:
            InputError: nothing is there.
        """
        with reaching(self.address):
            found = self._files.find(self._path, detail=True)
        if not found:
            raise InputError(
                "Nothing lies at an address.", where=self.address, fix="check the path"
            )
        return sorted(
            (self._listed(path, about) for path, about in found.items()), key=lambda one: one.name
        )

    def _listed(self, path: str, about: dict[str, Any]) -> Listed:
        name = path.removeprefix(self._path).lstrip("/")
        when: Any = about.get("mtime") or about.get("LastModified") or about.get("last_modified")
        seconds = when.timestamp() if hasattr(when, "timestamp") else float(when or 0)
        tag = next((str(about[k]) for k in ("ETag", "etag", "oid", "blob_id") if about.get(k)), "")
        size, modified = int(about["size"] or 0), int(seconds * 1_000_000_000)
        return Listed(name, size, modified, tag or f"{size}-{modified}")

    def read(self, name: str, start: int, end: int, tag: str = "") -> bytes:  # noqa: ARG002
        """Return some bytes of a file; not every storage can hold it to a tag."""
        path = f"{self._path}/{name}" if name else self._path
        with reaching(self.address):
            return bytes(self._files.cat_file(path, start=start, end=end))

    def write(self, name: str, source: Path | bytes, *, tag: str | None = None) -> str:  # noqa: ARG002
        """Refuse: without a conditional write two runs could spoil one another's folder.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "A run folder cannot lie at such an address.",
            where=self.address,
            expected="a folder of this machine, or an address of s3:// gs:// az://",
        )

    def delete(self, names: list[str]) -> None:  # noqa: ARG002
        """Refuse, as `write` does."""
        self.write("", b"")
