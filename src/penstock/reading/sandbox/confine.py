"""Confine: what the kernel holds a reading process to. It is called after the fork, before a file is opened (I11)."""

from __future__ import annotations

import errno
import math
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from penstock.reading.limits import ReadLimits

if TYPE_CHECKING:
    from ctypes import CDLL

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

_CLONE_THREAD = 0x00010000
_REFUSE = 0x00050000  # SECCOMP_RET_ERRNO; the error's number is added
_ALLOW = 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data; of an argument, to the lower half of the first."""

_MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
            "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
            "rt_sigqueueinfo": 129, "mount": 165, "umount2": 166, "tkill": 200, "tgkill": 234, "add_key": 248,
            "request_key": 249, "keyctl": 250, "unshare": 272, "accept4": 288, "rt_tgsigqueueinfo": 297,
            "perf_event_open": 298, "prlimit64": 302, "open_by_handle_at": 304, "setns": 308,
            "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "execveat": 322, "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "umount2": 39, "mount": 40, "unshare": 97, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131,
            "rt_sigqueueinfo": 138, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202,
            "connect": 203, "sendto": 206, "sendmsg": 211, "add_key": 217, "request_key": 218, "keyctl": 219,
            "clone": 220, "execve": 221, "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "accept4": 242,
            "prlimit64": 261, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270,
            "process_vm_writev": 271, "bpf": 280, "execveat": 281, "userfaultfd": 282,
        },
    ),
}  # fmt: skip
_SINCE_THEN = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip
"""Calls that are newer than both tables; all machines number them alike."""


def confine(limits: ReadLimits) -> None:
    """Hold this process to its limits, and refuse it what reading a file never needs: sockets, other programs, other
    processes. What a kernel does not offer is left out; the limits of memory and time are the least that all have."""
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        _limit(kind, most, most)
    undumpable()
    refuse_calls()


def allow_time(seconds: int) -> None:
    """From now on, of the processor; the signal for it tells why. A child that its parent lost ends by this."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    _limit(resource.RLIMIT_CPU, math.ceil(spent.ru_utime + spent.ru_stime) + seconds, hard)


def undumpable() -> None:
    """Hide this process from others of its user, so that a child that a file took over cannot read its environment or
    memory. For a worker to call when it starts; elsewhere than on Linux it does nothing."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_DUMPABLE, 0)


def refuse_calls() -> bool:
    """Whether the kernel took the filter. It stays for good, and passes to whatever this process starts."""
    known = _MACHINES.get(os.uname().machine)
    if sys.platform != "linux" or known is None:
        return False
    import ctypes  # noqa: PLC0415

    program = _program(*known)
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: the count of instructions, and where they are.
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = _libc()
    return bool(
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        and libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0) == 0
    )


@cache
def _libc() -> CDLL:
    import ctypes  # noqa: PLC0415 - only who reads files hides, and all who run stages import this

    return ctypes.CDLL(None)


def _program(machine: int, numbers: dict[str, int]) -> bytes:
    """In the kernel's packet filter language; each rule ends by falling through to the next."""
    refused = _REFUSE | errno.EPERM
    numbers = {**numbers, **_SINCE_THEN}
    code = [
        _step(_LOAD, _MACHINE),
        _step(_EQUAL, machine, 1, 0),
        _step(_RETURN, refused),  # 32-bit calls have other numbers
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, 0x40000000, 0, 1),  # so have those of x32
        _step(_RETURN, refused),
        # The C library then starts threads by clone, whose flags can be seen.
        *_refusing(numbers.pop("clone3"), _REFUSE | errno.ENOSYS),
        *_refusing_unless(numbers.pop("clone"), (_ANY_BIT, _CLONE_THREAD), refused),
    ]
    for name in ("kill", "tgkill"):  # itself it may end, as abort() does
        code += _refusing_unless(numbers.pop(name), (_EQUAL, os.getpid()), refused)
    code += _refusing_unless(numbers.pop("prlimit64"), (_EQUAL, 0), refused)  # 0: itself
    for number in numbers.values():
        code += _refusing(number, refused)
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _refusing(number: int, answer: int) -> list[bytes]:
    return [_step(_EQUAL, number, 0, 1), _step(_RETURN, answer)]


def _refusing_unless(number: int, fine: tuple[int, int], answer: int) -> list[bytes]:
    """Refuse this call unless its first argument passes the test."""
    test, value = fine
    return [
        _step(_EQUAL, number, 0, 4),
        _step(_LOAD, _ARGUMENT),
        _step(test, value, 1, 0),
        _step(_RETURN, answer),
        _step(_LOAD, _NUMBER),
    ]


def _step(operation: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """struct sock_filter: what to do, and how many steps to skip after a test."""
    return struct.pack("=HBBI", operation, if_so, if_not, value)


def _limit(kind: int, soft: int, hard: int) -> None:
    # macOS takes no limit of the address space; elsewhere a lower limit may be in force already.
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (soft, hard))


def die_with(parent: int) -> None:
    """End when the process that this one was forked from does. On Linux the kernel sees to it; elsewhere the limit of
    processor time, and the broken pipe, do."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be watched
        os._exit(1)
