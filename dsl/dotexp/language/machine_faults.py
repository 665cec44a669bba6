"""Faults of the machine: what has failed, and what the user can do about it.

A path that cannot be as the user wrote it (no such file, a folder in a file's place) is a UsageError, exit code 2. A
full or read-only disk, a missing permission, too little memory and a broken installation are a MachineError, exit code
1. `file_fault` is for a place that knows what it does with a file; `machine_fault` translates any other exception.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from pathlib import Path

from dotexp.language.diagnostics import ComponentError, DotexpError, MachineError, RunError, UsageError

_NETWORK = "the network drive that it is on does not answer: mount it again, or use a copy on a local disk"
_PROCESSES = "close other programs, raise the limit (ulimit -u), or use fewer data workers and threads"
_CURES = {
    errno.ENOSPC: "free some space on that disk, or choose a folder on another one",
    errno.EDQUOT: "the disk quota is used up: remove files, or choose a folder on another disk",
    errno.EFBIG: "files may not become that large: raise the limit (ulimit -f), or choose a folder on another disk",
    errno.EROFS: "the disk is read-only: make it writable, or choose a folder on another one",
    errno.EACCES: "change the permissions of the file and its folder, or choose another place",
    errno.EPERM: "change the permissions of the file and its folder, or choose another place",
    errno.EIO: "the disk, or the network drive, has failed: check it, and use a copy on a sound disk",
    errno.EMFILE: "close other programs, raise the limit (ulimit -n), or use fewer data workers",
    errno.ENFILE: "close other programs, raise the system's limit of open files, or use fewer data workers",
    errno.EBUSY: "another program uses it: close that, then give the command again",
    errno.ETXTBSY: "another program uses it: close that, then give the command again",
    errno.ESTALE: _NETWORK,
    errno.ETIMEDOUT: _NETWORK,
    errno.ENOTCONN: _NETWORK,
    errno.EHOSTDOWN: _NETWORK,
    errno.EAGAIN: _PROCESSES,
}
"""What to do about errors that are the machine's."""

_MISTAKES = {
    errno.ENOENT: "look at the path: the file, or a folder on the way to it, is missing",
    errno.ENOTDIR: "a file stands where a folder should",
    errno.EISDIR: "a folder stands where a file should",
    errno.EEXIST: "something of that name is there: name another, or remove it",
    errno.ENOTEMPTY: "something is written in that folder: stop it, then give the command again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead in a circle: mend them, or name another path",
    errno.EINVAL: "name a plain file on a disk",
    errno.ENXIO: "name a plain file on a disk",
    errno.ESPIPE: "name a plain file on a disk",
}
"""What to do about errors that come from the path which the user gave."""

_MEMORY = "close other programs, or ask for less at once: a smaller batch_size, smaller images, fewer data workers"
_NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc",
              "std::bad_array_new_length", "failed to map segment")  # fmt: skip
_NO_THREAD = ("can't start new thread", "resource temporarily unavailable")
_SHARED = ("shared memory", "unable to mmap", "bus error")
_PAIR = ("torch", "torchvision")
_OS_ERROR = re.compile(r"\(os error (\d{1,4})\)")


def is_mistake(error: OSError) -> bool:
    """Whether an error comes from the path that the user gave, not from the machine."""
    return error.errno in _MISTAKES and not _folder_gone()


def file_fault(verb: str, path: Path | str, error: OSError, advice: str = "") -> DotexpError:
    """Say that a file cannot be read, written or removed, why, and what to do about it; `advice` comes last.

    Returns a UsageError where the path is the user's mistake, a MachineError otherwise.
    """
    kind = UsageError if is_mistake(error) else MachineError
    return kind(f"cannot {verb} {path}: {reason(error)}", "; ".join(filter(None, (cure(error, path), advice))))


def reason(error: BaseException) -> str:
    """Say why an operation failed, without the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def cure(error: OSError, path: Path | str | None = None) -> str:
    """Say what to do about an operating system's error; "" where nothing is known."""
    if _folder_gone():
        return "the current folder was removed: change to one that is there, then give the command again"
    if error.errno == errno.ENOMEM:
        return _MEMORY
    known = _CURES.get(error.errno or 0) or _MISTAKES.get(error.errno or 0) or ""
    if path is not None and _is_temporary(Path(path)):
        return f"{known}; for temporary files, set TMPDIR to it" if known else "set TMPDIR to another folder"
    return known


def system_error(error: BaseException) -> OSError | None:
    """Return an operating system's error; one that a library written in Rust has put into words is made anew."""
    if isinstance(error, OSError):
        return error
    told = _OS_ERROR.search(str(error))
    return None if told is None else OSError(int(told[1]), os.strerror(int(told[1])))


def machine_cause(error: DotexpError) -> OSError | None:
    """Return the machine's fault that a component's error comes from; None where the component refuses its input."""
    cause = error.__cause__ if isinstance(error, ComponentError) else None
    return cause if isinstance(cause, OSError) and cause.errno is not None and not is_mistake(cause) else None


def require_working_folder() -> None:
    """Raise MachineError where the current folder was removed; importing torch ends the process there."""
    try:
        os.getcwd()
    except OSError as error:
        raise MachineError(f"the current folder cannot be used: {reason(error)}", cure(error)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: the device's, as torch tells it, or the system's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    told = str(error).lower()
    return isinstance(error, (RuntimeError, ImportError)) and any(each in told for each in _NO_MEMORY)


def machine_fault(error: BaseException) -> DotexpError | None:
    """Translate an exception that is the machine's fault, or a wrong path's; None for any other.

    A DotexpError is returned as it is, unless it hides a fault of the machine.
    """
    if isinstance(error, DotexpError):
        cause = machine_cause(error)
        return error if cause is None else MachineError(str(error), cure(cause))
    if is_out_of_memory(error):
        return MachineError(f"out of memory: {_first_line(error) or 'there is none left'}", _MEMORY)
    package = _broken_package(error)
    if package is not None:
        return _installation_fault(package, error)
    found = system_error(error)
    if found is not None:
        return _system_fault(found)
    told = str(error).lower()
    if isinstance(error, RuntimeError) and any(each in told for each in _NO_THREAD):
        return MachineError(f"no more threads or processes can be started: {_first_line(error)}", _PROCESSES)
    if isinstance(error, RuntimeError) and any(each in told for each in _SHARED):
        advice = "give this machine or container more shared memory (/dev/shm), or use no data workers"
        return MachineError(f"data workers share memory, and it cannot be had: {_first_line(error)}", advice)
    return None


def without_folder(error: RunError, folder: str, lead: str = "") -> RunError:
    """Return the error of a run in a temporary folder without its further lines, which tell how to go on there."""
    message = str(error).partition("\n")[0]
    return RunError(lead + message, "set TMPDIR to a folder with more room" if folder in message else "")


def _system_fault(error: OSError) -> DotexpError:
    if str(error.strerror).startswith("No usable temporary directory"):
        message = "there is no folder for temporary files that can be written"
        return MachineError(message, "set TMPDIR to a folder that can be written, and has room")
    name = error.filename
    path = None if name is None or isinstance(name, int) else os.fsdecode(name)
    kind = UsageError if is_mistake(error) else MachineError
    message = f"{path}: {reason(error)}" if path else reason(error)
    return kind(message, cure(error, path) or "--traceback shows where")


def _installation_fault(package: str, error: BaseException) -> MachineError:
    if package in _PAIR:
        found = " and ".join(f"{each} {_version(each)}" for each in _PAIR)
        advice = "install a pair that belongs together: pip install --force-reinstall torch torchvision"
        return MachineError(f"{found} do not work together, or one is damaged: {_first_line(error)}", advice)
    advice = f"install it anew: pip install --force-reinstall {package}"
    return MachineError(f"the package {package} {_version(package)} cannot be used: {_first_line(error)}", advice)


def _broken_package(error: BaseException) -> str | None:
    """Name the installed package whose import failed; None where the error is none of an import."""
    if "torchvision::" in str(error):
        return "torchvision"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "<module>":
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            installed = any(each in frame.f_code.co_filename for each in ("site-packages", "dist-packages"))
            if installed and package != "__main__" and not package.startswith("dotexp"):
                return package
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        return None if not package or package.startswith("dotexp") else package
    return None


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    try:
        return version(packages_distributions().get(package, [package])[0])
    except PackageNotFoundError:
        return "(not installed)"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _folder_gone() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _is_temporary(path: Path) -> bool:
    """Whether a path is the folder of temporary files, or in one that dotexp made there."""
    from tempfile import gettempdir

    root = Path(gettempdir())
    return path == root or (path.is_relative_to(root) and str(path.relative_to(root)).startswith("dotexp-"))
