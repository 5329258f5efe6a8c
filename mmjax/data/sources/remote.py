"""Files behind addresses that fsspec knows (gs://, s3://, https://, ...), read in ranges; what fails is asked again."""

import time

from mmjax.data.optional import optional
from mmjax.errors import UserError

# Seconds before each new attempt; a store that fails for longer than their sum counts as failing.
PAUSES = (0.2, 1.0, 4.0)
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError)
FINAL_STATUS = (401, 403, 404, 410)
# What the stores call the version of an object; whichever are there make up its date.
VERSIONS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "mtime", "updated", "created")
WITHOUT_LISTING = ("http", "https")


def filesystem(address: str):
    """(the fsspec file system of an address, the path in it).

    Raises:
        UserError: fsspec, the package for this kind of address, or the kind itself is not there.
    """
    fsspec = optional("fsspec", "remote", f"the address {address}")
    try:
        return fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise UserError(str(error), where=address, remedy="install it: gcsfs for gs://, s3fs, aiohttp") from error
    except ValueError as error:
        raise UserError(str(error), where=address, remedy="use gs://, s3://, https:// or a path") from error


def read_range(address: str, offset: int, count: int) -> bytes:
    """`count` bytes from `offset` on, which must lie within the object; OSError when the last attempt fails too."""
    files, path = filesystem(address)
    data = retried(lambda: files.cat_file(path, start=offset, end=offset + count))
    if len(data) > count:
        raise OSError("the server sends whole files where a range is asked for")
    return data


def stamp(address: str) -> tuple[int, str]:
    """(size in bytes, whatever tells versions apart) of an object; OSError if it cannot be had."""
    files, path = filesystem(address)
    info = retried(lambda: files.info(path))
    if info.get("size") is None:
        raise OSError("the server does not say how large it is")
    return int(info["size"]), " ".join(str(info[name]) for name in VERSIONS if name in info)


def glob(address: str) -> list[str]:
    """The addresses that match `*`, `?` and `[...]`, sorted; web servers cannot list, so theirs is taken as it is."""
    files, path = filesystem(address)
    if address.split(":")[0] in WITHOUT_LISTING or not any(sign in path for sign in "*?["):
        return [address]
    return sorted(files.unstrip_protocol(found) for found in retried(lambda: files.glob(path)))


def retried(action):
    """`action()`, tried again after each of PAUSES: every store has errors of its own, and most pass. Then OSError."""
    for pause in (*PAUSES, None):
        try:
            return action()
        except Exception as error:
            if _is_final(error):
                raise
            if pause is None:
                raise OSError(f"{type(error).__name__}: {error} ({len(PAUSES) + 1} attempts)") from error
            time.sleep(pause)
    return None


def _is_final(error: Exception) -> bool:
    """Whether asking again is of no use; fsspec's web client says "no such file" of every failure that it met."""
    cause = error.__cause__ or error
    return isinstance(error, FINAL) and (isinstance(cause, FINAL) or getattr(cause, "status", 0) in FINAL_STATUS)
