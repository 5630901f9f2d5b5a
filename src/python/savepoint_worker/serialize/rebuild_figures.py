"""What a checkpoint's bytes call to make figures. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

from typing import Any

from .verdict import Unloadable


def set_figure(made: Any, state: tuple[dict[str, Any], int | None, bool]) -> None:
    """A figure, which takes its number in pyplot again if it had one."""
    contents, number, is_current = state
    made.__setstate__(contents)
    if number is None:
        return
    import matplotlib.pyplot as plt
    from matplotlib._pylab_helpers import Gcf

    before = Gcf.get_active()
    if Gcf.has_fignum(number):
        # What has it now is a later state of this figure, or another one, which its variables keep alive.
        Gcf.figs.pop(number)
    manager = plt._get_backend_mod().new_figure_manager_given_figure(number, made)
    Gcf._set_new_active_manager(manager)
    if not is_current and before is not None and before.num in Gcf.figs:
        Gcf.set_active(before)


def canvas(figure: Any) -> Any:
    return figure.canvas


def manager(figure: Any) -> Any:
    if figure.canvas.manager is None:
        raise Unloadable("its figure has no manager here")
    return figure.canvas.manager
