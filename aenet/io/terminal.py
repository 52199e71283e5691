"""What a command lets through to the terminal: no library's noise, and one sentence where this machine is too small."""

import errno
import logging
import os
import re
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from aenet.io.errors import TooSmallMachine

_HANDLES = (errno.EMFILE, errno.ENFILE)
# What libraries say, each in its own words and under its own kind of error.
_MEMORY_WORDS = re.compile(
    r"bad.?alloc|(?:cannot|can't|unable to|failed to|could not) (?:allocate|map)|insufficient memory|out of memory"
    r"|not enough memory|mmap failed",
    re.IGNORECASE,
)
_HANDLE_WORDS = re.compile(r"too many open files", re.IGNORECASE)
_THREAD_WORDS = re.compile(r"can't start new thread|pthread_create|resource temporarily unavailable", re.IGNORECASE)
_GPU_WORDS = re.compile(r"cuda|gpu", re.IGNORECASE)  # whose memory is another matter
_LONGEST_CHAIN = 20
_NO_MEMORY = "not enough memory"
_KEPT = "what is finished is kept: run the same command again to go on"
_PLENTY = 4e9  # bytes: more than any image of the pixel limit takes
_WORK = 1750 << 20  # bytes of addresses: a job on two cores took 1,726 MiB beside its libraries, Arrow's pool 1,024
_APART = 32 << 20  # by which what libraries take differs from one start to the next


def quiet() -> None:
    """Keep libraries' warnings and log lines from the terminal; what a user should read, we say.

    `python -W` and PYTHONWARNINGS bring the warnings back.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os.environ.setdefault("CPL_LOG", os.devnull)  # where GDAL writes what nobody in Python asked it for
    root = logging.getLogger()
    if root.handlers:
        return  # somebody has said where logs go
    root.addHandler(logging.NullHandler())  # with none, Python prints what is logged
    if logging.lastResort is not None:  # prints warnings: ours are still told
        logging.getLogger("aenet").addHandler(logging.lastResort)


def is_short(error: BaseException) -> bool:
    """True for an error about handles, threads or memory that this machine lacks, and no file is at fault.

    Damaged files, too, make decoders ask for more memory than there is: where there is plenty, it was the file.
    """
    said = shortage(error)
    return said is not None and not (said.startswith(_NO_MEMORY) and _room() > _PLENTY)


def shortage(error: BaseException) -> str | None:
    """Return the sentence for an error that came of too little memory, too few handles or threads; None for others."""
    for link in _chain(error):
        if isinstance(link, TooSmallMachine):
            return str(link)
        if found := _lack(link):
            return f"{found}; {_KEPT}"
    return None


@contextmanager
def lacking() -> Iterator[None]:
    """Turn an error that came of what this machine lacks into its sentence; others pass as they are.

    Raises:
        TooSmallMachine: as `shortage` says it.
    """
    try:
        yield
    except Exception as error:
        if (said := shortage(error)) is None:
            raise
        raise TooSmallMachine(said) from error


@cache
def need_room() -> None:
    """Refuse to begin where this process's limit (`ulimit -v`) leaves less than a job takes beside its libraries.

    OpenBLAS, Arrow and NumPy do not raise everywhere when they get no memory, they end the process. Asked once a
    process, when the libraries are there: what a job has taken since is no lack.

    Raises:
        TooSmallMachine: the limit, what is taken, and what to give.
    """
    limit, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _taken()
    if limit != resource.RLIM_INFINITY and taken is not None and limit - taken < _WORK:
        raise TooSmallMachine(
            f"{_NO_MEMORY}: this process may have {limit / 1e6:,.0f} MB of addresses, its libraries have taken "
            f"{taken / 1e6:,.0f} of them, and a job takes some {_WORK / 1e6:,.0f} more: raise the limit to "
            f"`ulimit -v {(taken + _WORK + _APART) // 1024 + 1}` or more, or to `unlimited`; {_KEPT}"
        )


def _lack(error: BaseException) -> str | None:
    number = error.errno if isinstance(error, OSError) else None
    said = str(error)
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return _memory()
    if number in _HANDLES:
        return _handles()
    if (
        isinstance(error, (RuntimeError, OSError))
        and not isinstance(error, BlockingIOError)
        and _THREAD_WORDS.search(said)
    ):
        return "no further thread can be started: close other programs, or give fewer with `threads`"
    if _HANDLE_WORDS.search(said):
        return _handles()
    return _memory() if _MEMORY_WORDS.search(said) and not _GPU_WORDS.search(said) else None


def _memory() -> str:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    bound = "" if limit == resource.RLIM_INFINITY else f" (this process may have {limit / 1e6:,.0f} MB, `ulimit -v`)"
    return f"{_NO_MEMORY}{bound}: close other programs, give fewer `threads`, or use a larger machine"


def _room() -> float:
    """Return how many bytes this process could still have, infinity where that is not known."""
    try:
        free = float(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, LookupError):
        return float("inf")
    limit, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _taken()
    return free if limit == resource.RLIM_INFINITY or taken is None else min(free, limit - taken)


def _taken() -> int | None:
    """Return the bytes of addresses that this process has taken; None where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, LookupError):
        return None


def _handles() -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"too many files are open (this process may have {limit}): raise it with `ulimit -n 4096`"


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links and len(links) < _LONGEST_CHAIN:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links
