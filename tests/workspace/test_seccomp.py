"""The filters, read by a small interpreter of their programs, for both machines."""

import errno
import struct
from collections.abc import Callable

import pytest

from bot.workspace.toolhost import seccomp

X86, ARM, OTHER = 0xC000003E, 0xC00000B7, 0x40000003
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would do: runs the classic BPF *program* on one system call."""
    padded = [*arguments, *([0] * (6 - len(arguments)))]
    data = struct.pack("=IIQ6Q", number, arch, 0, *padded)
    word, position = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, 8 * position)
        position += 1
        if code == 0x20:
            word = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:
            return int(value)
        else:
            holds = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[code]
            position += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "arch", "numbers"),
    [
        (
            "x86_64",
            X86,
            {"socket": 41, "connect": 42, "ptrace": 101, "execve": 59, "kill": 62, "io_uring": 425},
        ),
        (
            "aarch64",
            ARM,
            {"socket": 198, "connect": 203, "ptrace": 117, "execve": 221, "kill": 129, "io_uring": 425},
        ),
    ],
)
def test_the_file_server_is_denied_what_it_never_needs(
    machine: str, arch: int, numbers: dict[str, int]
) -> None:
    program = seccomp.file_server_filter(machine)
    assert {name: verdict(program, arch, number) for name, number in numbers.items()} == dict.fromkeys(
        numbers, EPERM
    )
    assert verdict(program, arch, 437) == ALLOW


@pytest.mark.parametrize("build", [seccomp.file_server_filter, seccomp.sandbox_filter])
def test_a_call_in_another_machines_numbers_ends_the_process(build: Callable[[str], bytes]) -> None:
    assert verdict(build("x86_64"), OTHER, 41) == KILL
    assert verdict(build("aarch64"), X86, 41) == KILL


def test_the_second_numbering_of_x86_is_denied() -> None:
    assert verdict(seccomp.file_server_filter("x86_64"), X86, 0x40000000 + 41) == EPERM


@pytest.mark.parametrize(
    ("machine", "arch", "clone", "ioctl"), [("x86_64", X86, 56, 16), ("aarch64", ARM, 220, 29)]
)
def test_the_sandbox_may_fork_but_make_no_namespace(machine: str, arch: int, clone: int, ioctl: int) -> None:
    program = seccomp.sandbox_filter(machine)
    assert verdict(program, arch, clone, 0x01200011) == ALLOW
    for flag in (0x00020000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(program, arch, clone, flag | 17) == EPERM
    assert verdict(program, arch, 435) == ENOSYS
    assert verdict(program, arch, ioctl, 0, 0x5413) == ALLOW
    assert verdict(program, arch, ioctl, 0, 0x5412) == EPERM
    assert verdict(program, arch, ioctl, 0x5412, 0x541C) == EPERM
    assert verdict(program, arch, 1) == ALLOW


def test_a_machine_without_a_known_table_is_refused() -> None:
    with pytest.raises(
        seccomp.UnsupportedMachine, match="no system call filter is known for a riscv64 machine"
    ):
        seccomp.file_server_filter("riscv64")


def test_a_program_that_the_kernel_refuses_is_an_error() -> None:
    with pytest.raises(OSError, match="seccomp: "):
        seccomp.install(b"")


@pytest.mark.parametrize(
    ("machine", "arch", "calls"), [("x86_64", X86, (41, 53)), ("aarch64", ARM, (198, 199))]
)
def test_the_sandbox_has_no_socket_that_a_network_namespace_does_not_hold(
    machine: str, arch: int, calls: tuple[int, ...]
) -> None:
    program = seccomp.sandbox_filter(machine)
    for call in calls:
        allowed = [family for family in range(60) if verdict(program, arch, call, family, 1) == ALLOW]
        assert allowed == [1, 2, 10, 16]
        assert verdict(program, arch, call, 40, 1) == 0x00050000 | errno.EAFNOSUPPORT
    assert verdict(program, arch, 29 if arch == ARM else 16, 40, 0x5412) == EPERM


@pytest.mark.parametrize(("machine", "arch", "column"), [("x86_64", X86, 0), ("aarch64", ARM, 1)])
def test_every_name_of_the_list_is_denied_by_its_own_number(machine: str, arch: int, column: int) -> None:
    program = seccomp.sandbox_filter(machine)
    for name in seccomp.SANDBOX_DENIED:
        assert verdict(program, arch, seccomp._NUMBERS[name][column]) == EPERM, name
    assert len({numbers[column] for numbers in seccomp._NUMBERS.values()}) == len(seccomp._NUMBERS)
