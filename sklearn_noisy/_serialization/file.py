"""A file of a JSON document and named tensors, with a checksum.

It is a safetensors file. Its metadata hold the document, the number of the format and
the checksum of the whole file. The checksum is computed with zeros in its own place.
"""

import hashlib
import json
import os
import secrets
import stat
import time

import safetensors.torch
from safetensors import SafetensorError

from sklearn_noisy._version import __version__
from sklearn_noisy.exceptions import InvalidFileError

# Increased when the content of a file changes.
FORMAT = 2

# What a file holds: its kind in the metadata, and who wrote it in an error.
KINDS = {
    "sklearn_noisy": "sklearn_noisy.save",
    "sklearn_noisy checkpoint": "a fit with checkpoint=",
}
MODEL, CHECKPOINT = KINDS

# Bytes of the length of the header, which comes before the header.
LENGTH_BYTES = 8

# Age in seconds from which an unfinished file has no process that writes it.
LEFT_OVER_AFTER = 3600.0

NO_CHECKSUM = b'"sha256":"' + b"0" * 64 + b'"'

# First bytes of other kinds of files.
OTHERS = (
    (b"\x80", "a pickle"),
    (b"PK\x03\x04", "a zip archive, as torch.save and numpy.savez write them"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"x", "compressed by zlib, as joblib.dump does"),
)


def pack(document, tensors, kind=MODEL):
    """The bytes of a file.

    Parameters
    ----------
    document : object
        Any value that JSON can represent.
    tensors : dict of str to tensor
    kind : str, default=MODEL
        One of `KINDS`.

    Returns
    -------
    bytes
    """
    metadata = {
        "kind": kind,
        "format": str(FORMAT),
        "version": __version__,
        "sha256": "0" * 64,
        "document": json.dumps(document, allow_nan=False, separators=(",", ":")),
    }
    content = safetensors.torch.save(tensors, metadata)
    return content.replace(NO_CHECKSUM, _checksum(content), 1)


def _checksum(content):
    return b'"sha256":"' + hashlib.sha256(content).hexdigest().encode() + b'"'


def unpack(content, name, kind=MODEL):
    """The document and the tensors in the bytes of a file.

    Parameters
    ----------
    content : bytes
    name : str
        What an error calls the file.
    kind : str, default=MODEL
        The kind that the file must have.

    Returns
    -------
    document : object
    tensors : dict of str to tensor

    Raises
    ------
    InvalidFileError
        If it is another kind of file, of another format, cut off or changed.
    """
    writer = KINDS[kind]
    header, end = _read_header(content, name, writer)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("kind") != kind:
        raise InvalidFileError(
            f"{name} is a safetensors file, but not one that {writer} wrote."
        )
    _check_format(metadata, name)
    _check_whole(content, header, end, name)
    written = b'"sha256":"' + str(metadata.get("sha256")).encode() + b'"'
    if _checksum(content.replace(written, NO_CHECKSUM, 1)) != written:
        raise InvalidFileError(
            f"{name} was changed after it was written, or is damaged: its checksum is "
            "another."
        )
    try:
        return json.loads(metadata["document"]), safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidFileError(f"{name} is not a valid file: {error}") from error


def _read_header(content, name, writer):
    """The header of a safetensors file, and where it ends."""
    if not content:
        raise InvalidFileError(f"{name} is empty.")
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    looks_right = content[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{"
    for start, kind in OTHERS:
        # The length of a header may begin with the same byte as a pickle.
        if content.startswith(start) and not looks_right:
            raise InvalidFileError(
                f"{name} is {kind}; it was not read. It should be a file that "
                f"{writer} wrote."
            )
    if not looks_right:
        raise InvalidFileError(f"{name} is not a file that {writer} wrote.")
    if end > len(content):
        raise InvalidFileError(
            f"{name} is cut off or damaged: its header should end at byte {end}, and "
            f"it has {len(content)}."
        )
    try:
        header = json.loads(content[LENGTH_BYTES:end])
    except (ValueError, RecursionError) as error:
        raise InvalidFileError(
            f"The header of {name} is damaged, or it is no such file: {error}"
        ) from error
    if not isinstance(header, dict):
        raise InvalidFileError(f"{name} is not a file that {writer} wrote.")
    return header, end


def _check_format(metadata, name):
    try:
        number = int(metadata["format"])
    except (KeyError, TypeError, ValueError):
        raise InvalidFileError(f"{name} has no number of its format.") from None
    if number != FORMAT:
        remedy = (
            "Install a newer version."
            if number > FORMAT
            else (
                "It was written before the first release: load it with the version "
                "that wrote it, or fit and save the estimator again."
            )
        )
        raise InvalidFileError(
            f"{name} has format {number}, written by sklearn_noisy "
            f"{metadata.get('version')}; sklearn_noisy {__version__} reads format "
            f"{FORMAT}. {remedy}"
        )


def _check_whole(content, header, end, name):
    try:
        size = end + max(
            (
                entry["data_offsets"][1]
                for key, entry in header.items()
                if key != "__metadata__"
            ),
            default=0,
        )
        if size > len(content):
            raise InvalidFileError(
                f"{name} is cut off: it should have {size} bytes, and has "
                f"{len(content)}."
            )
    except (KeyError, IndexError, TypeError) as error:
        raise InvalidFileError(f"The header of {name} is damaged.") from error


def write_whole(path, content, *, mode=None):
    """Write a file in one step: there is never a partial file under its name.

    Parameters
    ----------
    path : str, bytes or path-like
        An existing file is replaced. A symbolic link is followed.
    content : bytes
    mode : int, default=None
        Permissions of the file. None keeps those of the file that is replaced; a new
        file gets those that the process gives to new files.

    Raises
    ------
    IsADirectoryError
        If `path` is a folder.
    ValueError
        If `path` exists and is not a regular file, such as a pipe or a device.
    """
    path = os.path.realpath(os.fsdecode(path))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(f"path must be a file; {path!r} is a folder.")
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"path must be a regular file; {path!r} is none.")
        mode = stat.S_IMODE(found.st_mode) if mode is None else mode
    temporary = os.path.join(_folder(path), _prefix(path) + secrets.token_hex(8))
    allowed = 0o666 if mode is None else 0o600  # the process's mask applies to both
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, allowed)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def remove_leftovers(path, *, age=LEFT_OVER_AFTER):
    """Remove unfinished files that a killed process left beside a path.

    Parameters
    ----------
    path : str
    age : float, default=LEFT_OVER_AFTER
        In seconds. A file that was written to more recently may still be in use.
    """
    prefix, now = _prefix(path), time.time()
    for entry in os.scandir(_folder(path)):
        if entry.name.startswith(prefix):
            try:
                if now - entry.stat().st_mtime >= age:
                    os.unlink(entry.path)
            except FileNotFoundError:
                continue  # another process has removed it


def _folder(path):
    return os.path.dirname(path) or os.curdir


def _prefix(path):
    """Start of the names of unfinished files: no longer than a name may be."""
    name = hashlib.sha256(os.fsencode(os.path.basename(path))).hexdigest()
    return f".sklearn_noisy-{name[:16]}-"
