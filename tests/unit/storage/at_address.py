"""A run folder at an address of the server of the tests: opened, written to, looked at."""

from pipeline.storage.published import run_folder_at

ADDRESS = "s3://data/runs/one"


def silent(*_):
    """Say nothing."""


def opened(scratch, said=silent, *, writes=True):
    """Open the run folder at the address."""
    return run_folder_at(ADDRESS, scratch, silent, said, writes=writes)


def there(bucket):
    """Return the bytes of what lies at the address."""
    return {
        key.removeprefix("runs/one/"): data
        for key, (data, *_) in bucket.items()
        if key.startswith("runs/one/")
    }


def write(folder, **files):
    """Write files, `/` as `__`; the manifest names them all."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
