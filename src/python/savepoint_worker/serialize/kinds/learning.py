"""torch and the boosters: gradients, which torch's own pickles forget, and what has no pickle."""

from __future__ import annotations

import io
import sys
from typing import Any

from .. import rebuild_learning
from ..handlers import register
from ..verdict import EQUAL, Unsaveable


@register("torch.Tensor", "torch.nn.parameter.Parameter", rank=EQUAL, tier=0, subclasses=False)
def tensor(pickler: Any, value: Any) -> Any:
    """With its gradient."""
    if value.requires_grad and not value.is_leaf:
        pickler.note("how a tensor was computed is not kept, so it is a leaf: no gradients go further back")
        value = value.detach().requires_grad_()
    reduced = value.__reduce_ex__(5)
    if not value.is_leaf or value.grad is None or len(reduced) != 2:
        return reduced
    return (*reduced, value.grad, None, None, rebuild_learning.set_gradient)


@register("torch._C.Generator", "torch.Generator")
def generator(pickler: Any, value: Any) -> Any:
    return rebuild_learning.generator, (str(value.device), value.get_state())


@register("torch.jit._script.RecursiveScriptModule", "torch.jit._script.ScriptFunction")
def script(pickler: Any, value: Any) -> Any:
    """As torch stores it."""
    stream = io.BytesIO()
    sys.modules["torch"].jit.save(value, stream)
    pickler.note("tensors of a script are its own, even if others share them")
    return rebuild_learning.script, (stream.getvalue(),)


@register("xgboost.core.DMatrix", subclasses=False)
def matrix(pickler: Any, value: Any) -> Any:
    """Its data, labels and weights."""
    try:
        fields = {
            name: each for name in ("label", "weight", "base_margin") if (each := value.get_float_info(name)).size
        }
        arguments = (value.get_data(), fields, value.feature_names, value.feature_types)
    except Exception as error:
        raise Unsaveable(f"its data cannot be had from it: {error}", value) from None
    return rebuild_learning.matrix, arguments
