"""What a checkpoint's bytes call to make things of torch and of boosters. As in `rebuild`, names and arguments never
change."""

from __future__ import annotations

import io
from typing import Any


def set_gradient(made: Any, gradient: Any) -> None:
    made.grad = gradient


def generator(device: str, state: Any) -> Any:
    import torch

    made = torch.Generator(device)
    made.set_state(state)
    return made


def script(contents: bytes) -> Any:
    import torch

    return torch.jit.load(io.BytesIO(contents))


def matrix(data: Any, fields: dict[str, Any], names: Any, kinds: Any) -> Any:
    import xgboost

    return xgboost.DMatrix(data, **fields, feature_names=names, feature_types=kinds)
