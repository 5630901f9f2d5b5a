"""matplotlib: figures with their place in pyplot, canvases, and what listens to changes."""

from __future__ import annotations

import sys
import types
from typing import Any

from .. import rebuild_figures
from ..handlers import register
from ..verdict import EQUAL, Unsaveable


@register("matplotlib.figure.Figure", rank=EQUAL, tier=0)
def figure(pickler: Any, value: Any) -> Any:
    """With its number in pyplot; matplotlib itself gives it the next one that is free."""
    make, arguments, state, *_ = value.__reduce_ex__(5)
    state = {name: item for name, item in state.items() if name != "_restore_to_pylab"}
    managers = sys.modules["matplotlib._pylab_helpers"].Gcf
    number = next((each.num for each in managers.figs.values() if each.canvas.figure is value), None)
    active = managers.get_active()
    is_current = number is not None and active is not None and active.canvas.figure is value
    return make, arguments, (state, number, is_current), None, None, rebuild_figures.set_figure


@register("matplotlib.backend_bases.FigureCanvasBase")
def canvas(pickler: Any, value: Any) -> Any:
    """The canvas that its figure has."""
    if getattr(value.figure, "canvas", None) is not value:
        raise Unsaveable("a canvas that its figure does not use cannot be saved", value)
    return rebuild_figures.canvas, (value.figure,)


@register("matplotlib.backend_bases.FigureManagerBase")
def manager(pickler: Any, value: Any) -> Any:
    """The manager that its figure has in pyplot."""
    return rebuild_figures.manager, (value.canvas.figure,)


@register("matplotlib.cbook.CallbackRegistry", rank=EQUAL, tier=0)
def callbacks(pickler: Any, value: Any) -> Any:
    """With those that matplotlib itself drops: a colour bar follows its image by one of them."""
    make, arguments, state, *_ = value.__reduce_ex__(5)
    kept = {
        signal: {number: called for number, proxy in by_number.items() if _is_kept(called := proxy(), number, value)}
        for signal, by_number in value.callbacks.items()
    }
    return make, arguments, {**state, "callbacks": kept}


def _is_kept(called: Any, number: int, registry: Any) -> bool:
    if called is None:
        return False
    return (
        number in registry._pickled_cids
        or isinstance(called, (types.MethodType, types.BuiltinMethodType))
        or getattr(called, "__module__", None) == "__main__"
    )
