"""Has the kernel confine the child process, after it was forked and before it opens a file (I11)."""

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
"""The offsets in struct seccomp_data of a call's number, of the machine, and of the lower half of the first
argument."""

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
_NEWER_CALLS = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip
"""The calls that are newer than both tables. All machines have the same numbers for them."""


def confine(limits: ReadLimits) -> None:
    """Limit this process, and refuse it what reading a file never needs: sockets, other programs, other processes. What
    a kernel does not offer is left out: macOS has no limit of the address space and no filter of system calls."""
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        _limit(kind, limit, limit)
    undumpable()
    refuse_calls()


def allow_time(seconds: int) -> None:
    """Allow this process this number of seconds of processor time from now on. The signal that ends it then tells its
    parent why. A child whose parent is gone ends by this too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + seconds, hard)


def undumpable() -> None:
    """Hide this process from other processes of its user, so that a child that a file took over cannot read its
    environment or memory. A worker calls this when it starts. It does nothing on systems other than Linux."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_DUMPABLE, 0)


def refuse_calls() -> bool:
    """Install the filter of system calls, and return whether the kernel accepted it. The filter cannot be removed, and
    every process that this one starts inherits it."""
    known = _MACHINES.get(os.uname().machine)
    if sys.platform != "linux" or known is None:
        return False
    import ctypes  # noqa: PLC0415

    program = _program(*known)
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions and their address.
    filter_struct = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = _libc()
    return bool(
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        and libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_struct, 0, 0) == 0
    )


@cache
def _libc() -> CDLL:
    import ctypes  # noqa: PLC0415 - processes import this module that never call it

    return ctypes.CDLL(None)


def _program(machine: int, numbers: dict[str, int]) -> bytes:
    """The filter in the language of the kernel's packet filter. Each rule that does not apply continues with the
    next."""
    refused = _REFUSE | errno.EPERM
    numbers = {**numbers, **_NEWER_CALLS}
    code = [
        _step(_LOAD, _MACHINE),
        _step(_EQUAL, machine, 1, 0),
        _step(_RETURN, refused),  # the calls of 32-bit programs have other numbers
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, 0x40000000, 0, 1),  # the calls of x32 have other numbers too
        _step(_RETURN, refused),
        # The C library then starts threads with clone, whose flags the filter can see.
        *_refusing(numbers.pop("clone3"), _REFUSE | errno.ENOSYS),
        *_refusing_unless(numbers.pop("clone"), (_ANY_BIT, _CLONE_THREAD), refused),
    ]
    for name in ("kill", "tgkill"):  # the process may end itself, as abort() does
        code += _refusing_unless(numbers.pop(name), (_EQUAL, os.getpid()), refused)
    code += _refusing_unless(numbers.pop("prlimit64"), (_EQUAL, 0), refused)  # 0 is the process itself
    for number in numbers.values():
        code += _refusing(number, refused)
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _refusing(number: int, answer: int) -> list[bytes]:
    return [_step(_EQUAL, number, 0, 1), _step(_RETURN, answer)]


def _refusing_unless(number: int, condition: tuple[int, int], answer: int) -> list[bytes]:
    """Refuse this call unless its first argument meets the condition, a test and its value."""
    test, value = condition
    return [
        _step(_EQUAL, number, 0, 4),
        _step(_LOAD, _ARGUMENT),
        _step(test, value, 1, 0),
        _step(_RETURN, answer),
        _step(_LOAD, _NUMBER),
    ]


def _step(operation: int, value: int, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    """A struct sock_filter: an operation, its value, and how many steps to skip after a test."""
    return struct.pack("=HBBI", operation, skip_if_true, skip_if_false, value)


def _limit(kind: int, soft: int, hard: int) -> None:
    # macOS does not accept a limit of the address space; on other systems a lower limit may be in force already.
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (soft, hard))


def die_with(parent: int) -> None:
    """End this process when its parent ends. On Linux the kernel does that. On other systems the process ends by its
    limit of processor time or by the broken pipe."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the kernel was asked to watch it
        os._exit(1)
