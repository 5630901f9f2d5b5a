"""What stands in the place of a variable that a checkpoint could not hold."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from .errors import LostVariableError


class Loss(NamedTuple):
    """Which variable was lost, and why."""

    name: str
    type: str
    reason: str


# Nothing can be asked of a lost variable itself, so we ask past its own methods.
_read = object.__getattribute__


class LostVariable:
    """Takes a variable's place. Whatever is done with it raises LostVariableError; it can be deleted and assigned."""

    __slots__ = ("_loss",)
    _loss: Loss

    def __init__(self, loss: Loss) -> None:
        object.__setattr__(self, "_loss", loss)


def loss_of(value: LostVariable) -> Loss:
    """What is known of the variable that was lost."""
    loss: Loss = _read(value, "_loss")
    return loss


def is_lost(value: object) -> bool:
    """Is `value` the stand-in for a lost variable? Unlike `isinstance`, this does not touch it."""
    return type(value) is LostVariable


def _refuse(self: LostVariable, *arguments: Any, **named: Any) -> NoReturn:
    raise LostVariableError(*loss_of(self))


_OPERATIONS = """
    getattribute setattr delattr dir repr str bytes format hash bool call sizeof
    lt le eq ne gt ge
    len length_hint iter next reversed contains getitem setitem delitem
    enter exit aenter aexit await aiter anext
    neg pos abs invert complex int float index round trunc floor ceil fspath
    add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or
    iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ixor ior
    copy deepcopy reduce reduce_ex getstate instancecheck subclasscheck
""".split()
_REFLECTED = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or".split()

for _name in [*_OPERATIONS, *(f"r{name}" for name in _REFLECTED)]:
    setattr(LostVariable, f"__{_name}__", _refuse)
