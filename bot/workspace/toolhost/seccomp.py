"""Seccomp filters as data: which system calls a process gives up for ever.

Numbers are those of the kernel's tables `arch/x86/entry/syscalls/syscall_64.tbl` and
`include/uapi/asm-generic/unistd.h` (https://github.com/torvalds/linux); the layout of a filter is in
https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html.
"""

import ctypes
import errno
import os
import platform
import struct

_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_OR_EQUAL = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_X32_FIRST = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

_NUMBERS: dict[str, tuple[int, int]] = {
    "accept": (43, 202),
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bind": (49, 200),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "listen": (50, 201),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_KERNEL_SURFACE = _words("""
    acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init finit_module
    fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup kcmp
    kexec_file_load kexec_load keyctl lookup_dcookie mount mount_setattr move_mount name_to_handle_at
    open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv
    process_vm_writev ptrace quotactl quotactl_fd reboot request_key setns settimeofday swapoff swapon
    syslog umount2 unshare userfaultfd vhangup
""")
FILE_SERVER_DENIED = _KERNEL_SURFACE + _words("""
    accept accept4 bind connect listen socket socketpair execve execveat kill pidfd_open pidfd_send_signal
""")
SANDBOX_DENIED = _KERNEL_SURFACE
SANDBOX_SOCKETS = (1, 2, 10, 16)
"""Unix, IPv4, IPv6 and netlink: all that end at the walls of a network namespace without an interface.

Unix sockets stay, because tests use them: abstract names belong to the network namespace, and a path must be
in sight, where nothing of the service is. Other families do not: vsock talks to the machine's host whatever
the namespace, and the rest is code of the kernel that no test needs.
"""

_NEW_NAMESPACES = 0x7E020000
_TIOCSTI = 0x5412
_TIOCLINUX = 0x541C


class UnsupportedMachine(OSError):
    """No filter is known for this machine, so nothing that needs one may start."""


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def file_server_filter(machine: str | None = None) -> bytes:
    """The filter of the file server: no socket, no new program, no look into other processes.

    Raises:
        UnsupportedMachine: *machine* (this one by default) is neither x86_64 nor aarch64.
    """
    machine = _known(machine)
    return _assemble(machine, _denials(machine, FILE_SERVER_DENIED))


def sandbox_filter(machine: str | None = None) -> bytes:
    """The filter of repository code: no namespaces, no kernel machinery, no typing into a terminal.

    Raises:
        UnsupportedMachine: *machine* (this one by default) is neither x86_64 nor aarch64.
    """
    machine = _known(machine)
    column = _COLUMN[machine]
    body = _denials(machine, SANDBOX_DENIED)
    body += _deny(_NUMBERS["clone3"][column], errno.ENOSYS)
    body += _argument_test(_NUMBERS["clone"][column], 0, _JUMP_ANY_BIT, _NEW_NAMESPACES)
    for name in ("socket", "socketpair"):
        body += _first_argument_among(_NUMBERS[name][column], SANDBOX_SOCKETS)
    body += _argument_test(_NUMBERS["ioctl"][column], 1, _JUMP_EQUAL, _TIOCSTI)
    body += _argument_test(_NUMBERS["ioctl"][column], 1, _JUMP_EQUAL, _TIOCLINUX)
    return _assemble(machine, body)


def install(program: bytes) -> None:
    """Put *program* on the calling thread, for ever; needs no-new-privileges.

    Raises:
        OSError: The kernel refused it.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _known(machine: str | None) -> str:
    name = machine or platform.machine()
    if name not in _AUDIT_ARCH:
        raise UnsupportedMachine(errno.ENOSYS, f"no system call filter is known for a {name} machine")
    return name


def _denials(machine: str, names: tuple[str, ...]) -> list[bytes]:
    column = _COLUMN[machine]
    return [step for name in names for step in _deny(_NUMBERS[name][column], errno.EPERM)]


def _deny(number: int, error: int) -> list[bytes]:
    return [_step(_JUMP_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | error)]


def _argument_test(number: int, argument: int, jump: int, value: int) -> list[bytes]:
    """Deny *number* when the low half of *argument* passes the *jump* against *value*."""
    return [
        _step(_JUMP_EQUAL, number, 0, 4),
        _step(_LOAD_WORD, _ARGUMENTS_OFFSET + 8 * argument),
        _step(jump, value, 0, 1),
        _step(_RETURN, _ERRNO | errno.EPERM),
        _step(_LOAD_WORD, _NUMBER_OFFSET),
    ]


def _first_argument_among(number: int, allowed: tuple[int, ...]) -> list[bytes]:
    """Deny *number* unless the low half of its first argument is *allowed*."""
    tests = [_step(_JUMP_EQUAL, value, len(allowed) - place, 0) for place, value in enumerate(allowed)]
    body = [
        _step(_LOAD_WORD, _ARGUMENTS_OFFSET),
        *tests,
        _step(_RETURN, _ERRNO | errno.EAFNOSUPPORT),
        _step(_LOAD_WORD, _NUMBER_OFFSET),
    ]
    return [_step(_JUMP_EQUAL, number, 0, len(body)), *body]


def _assemble(machine: str, body: list[bytes]) -> bytes:
    head = [
        _step(_LOAD_WORD, _ARCH_OFFSET),
        _step(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD_WORD, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":
        head += [_step(_JUMP_GREATER_OR_EQUAL, _X32_FIRST, 0, 1), _step(_RETURN, _ERRNO | errno.EPERM)]
    return b"".join([*head, *body, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
