"""Programs of the classic BPF as seccomp filters: every value that one may return. No I/O.

A filter sees the number of a system call, its architecture and its arguments (seccomp(2)), and no
memory. All of its jumps go forward. So every way through it can be followed where an argument is
unknown, as a descriptor is.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter
INSTRUCTION_BYTES = _INSTRUCTION.size

_MOST_STEPS = 200_000
_WORD = 2**32 - 1

Program = tuple["Instruction", ...]
Known = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction (struct sock_filter): its code, the two jumps, the constant."""

    code: int
    if_true: int
    if_false: int
    constant: int


def parse_program(raw: bytes) -> Program:
    """Return the instructions of a filter, as PTRACE_SECCOMP_GET_FILTER gives them."""
    return tuple(Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(raw))


def results(program: Program, nr: int, arch: int, arguments: Known) -> frozenset[int | None]:
    """Return every value that a filter may return for a call; None where it cannot be known.

    Args:
        program: the filter.
        nr: the number of the system call.
        arch: AUDIT_ARCH_*.
        arguments: the six arguments, None for an unknown one.
    """
    found: set[int | None] = set()
    start = _State(0, 0, 0, (0,) * 16)
    waiting, seen = [start], {start}
    data = _Data(nr, arch, tuple(arguments))
    for _ in range(_MOST_STEPS):
        if not waiting:
            return frozenset(found)
        state = waiting.pop()
        if state.position >= len(program):  # the kernel refuses such a program
            return frozenset({None})
        outcome = _step(program[state.position], state, data)
        if isinstance(outcome, _Returned):
            found.add(outcome.value)
            continue
        for each in outcome:
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return frozenset({None})


@dataclass(frozen=True, slots=True)
class _Data:
    """struct seccomp_data."""

    nr: int
    arch: int
    arguments: tuple[int | None, ...]

    def word(self, offset: int) -> int | None:
        if offset == 0:
            return self.nr
        if offset == 4:
            return self.arch
        index, high = divmod(offset - 16, 8)
        if not 0 <= index < 6:  # the instruction pointer
            return None
        value = self.arguments[index]
        return None if value is None else (value >> 32 if high else value) & _WORD


@dataclass(frozen=True, slots=True)
class _State:
    """The position in the program, the two registers and the memory; None: unknown."""

    position: int
    a: int | None
    x: int | None
    memory: tuple[int | None, ...]

    def next(self, **changes: object) -> "_State":
        values = {"position": self.position + 1, "a": self.a, "x": self.x, "memory": self.memory}
        return _State(**{**values, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Returned:
    value: int | None


def _step(each: Instruction, state: _State, data: _Data) -> "list[_State] | _Returned":
    """Carry out one instruction (linux/bpf_common.h)."""
    kind, k = each.code & 0x07, each.constant
    if kind == 0x06:  # BPF_RET
        return _Returned(state.a if each.code & 0x18 == 0x10 else k)
    if kind != 0x05:  # BPF_JMP
        return [_moved(each, state, data)]
    following = state.position + 1
    if each.code & 0xF0 == 0x00:  # BPF_JA
        return [state.next(position=following + k)]
    operand = state.x if each.code & 0x08 else k
    return [
        state.next(position=following + (each.if_true if taken else each.if_false))
        for taken in _jumps(each.code & 0xF0, state.a, operand)
    ]


def _moved(each: Instruction, state: _State, data: _Data) -> _State:
    """Carry out an instruction after which the next one follows."""
    kind, k = each.code & 0x07, each.constant
    if kind == 0x00:  # BPF_LD
        return state.next(a=_loaded(each, state, data))
    if kind == 0x01:  # BPF_LDX
        return state.next(x=_loaded(each, state, data))
    if kind == 0x04:  # BPF_ALU
        operand = state.x if each.code & 0x08 else k
        return state.next(a=_computed(each.code & 0xF0, state.a, operand))
    if kind == 0x07:  # BPF_MISC: BPF_TXA, BPF_TAX
        return state.next(a=state.x) if each.code & 0x80 else state.next(x=state.a)
    memory = list(state.memory)  # BPF_ST, BPF_STX
    memory[k & 15] = state.a if kind == 0x02 else state.x
    return state.next(memory=tuple(memory))


def _loaded(each: Instruction, state: _State, data: _Data) -> int | None:
    mode = each.code & 0xE0
    if mode == 0x00:  # BPF_IMM
        return each.constant
    if mode == 0x60:  # BPF_MEM
        return state.memory[each.constant & 15]
    if mode == 0x80:  # BPF_LEN: sizeof(struct seccomp_data)
        return 64
    return data.word(each.constant)  # BPF_ABS


def _computed(operation: int, a: int | None, operand: int | None) -> int | None:
    if operation == 0x80:  # BPF_NEG
        return None if a is None else -a & _WORD
    if operation == 0x50 and operand == 0:  # BPF_AND, which libseccomp uses for masks
        return 0
    if a is None or operand is None:
        return None
    if operation in {0x30, 0x90} and operand == 0:  # a division by zero ends the filter with 0
        return None
    computed = {
        0x00: lambda: a + operand,
        0x10: lambda: a - operand,
        0x20: lambda: a * operand,
        0x30: lambda: a // operand,
        0x40: lambda: a | operand,
        0x50: lambda: a & operand,
        0x60: lambda: a << (operand & 31),
        0x70: lambda: a >> (operand & 31),
        0x90: lambda: a % operand,
        0xA0: lambda: a ^ operand,
    }.get(operation)
    return None if computed is None else computed() & _WORD


def _jumps(operation: int, a: int | None, operand: int | None) -> tuple[bool, ...]:
    if a is None or operand is None:
        return (True, False)
    holds = {
        0x10: a == operand,
        0x20: a > operand,
        0x30: a >= operand,
        0x40: bool(a & operand),
    }.get(operation)
    return (True, False) if holds is None else (holds,)
