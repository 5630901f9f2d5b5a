"""Objects of pandas, polars, pyarrow, torch and matplotlib that hold more than Python shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .kinds import ATOM, BY_PREFIX, NOTHING, Kind, atoms_named, hold, register
from .states import attributes

if TYPE_CHECKING:
    from .walk import Walk


def _save_backed(obj: Any, walk: Walk) -> Any:
    values = obj._ndarray, obj._dtype
    walk.push(values)
    return values


def _put_back_backed(obj: Any, values: tuple[Any, Any]) -> None:
    if obj._ndarray is not values[0] or obj._dtype is not values[1]:
        from pandas._libs.arrays import NDArrayBacked

        hold((obj._ndarray, obj._dtype))
        NDArrayBacked.__init__(obj, *values)


def _in_rust(attribute: str) -> Kind:
    """A thin object around one that is changed in place, and of which a copy costs nothing."""

    def save(obj: Any, walk: Walk) -> Any:
        inner = getattr(obj, attribute)
        walk.mark(inner)
        return inner, inner.clone()

    def put_back(obj: Any, state: Any) -> None:
        inner, copy = state
        hold(getattr(obj, attribute))
        setattr(obj, attribute, copy.clone())

    return Kind(save, put_back, links=True)


def _save_tensor(obj: Any, walk: Walk) -> Any:
    import torch

    # Past subclasses, and past the recording of what is done to it.
    with torch.no_grad():
        plain = obj.detach()
        walk.groups.range(plain.untyped_storage().data_ptr(), plain.untyped_storage().data_ptr() + 1)
        content: list[Any] = []
        walk.buffer(plain.numel() * plain.element_size(), lambda: content.append(plain.clone()))
        walk.push([obj.grad if obj.is_leaf else None])
        return content, plain, obj.requires_grad, obj.grad if obj.is_leaf else None


def _put_back_tensor(obj: Any, state: Any) -> str | None:
    import torch

    content, plain, requires, grad = state
    with torch.no_grad():
        present = obj.detach()
        if present.data_ptr() != plain.data_ptr() or present.shape != plain.shape or present.dtype != plain.dtype:
            obj.data = plain
        obj.data.copy_(content[0])
        if obj.is_leaf:
            obj.requires_grad_(requires)
            obj.grad = grad
        elif obj.requires_grad != requires:
            return "the history of a tensor"
    return None


def _save_torch_generator(obj: Any, walk: Walk) -> Any:
    return obj.get_state()


def _put_back_torch_generator(obj: Any, state: Any) -> None:
    obj.set_state(state)


register(
    attributes("blocks", "axes", "_known_consolidated", "_is_consolidated", "_blknos", "_blklocs"),
    "pandas._libs.internals.BlockManager",
)
register(attributes("values", "_mgr_locs", "refs", "ndim"), "pandas._libs.internals.Block")
register(Kind(_save_backed, _put_back_backed, links=True), "pandas._libs.arrays.NDArrayBacked")
atoms_named(
    # What is kept for speed, or never changes.
    "pandas._libs.internals.BlockValuesRefs", "pandas._libs.internals.BlockPlacement",
    "pandas._libs.properties.CachedProperty", "pandas._libs.properties.AxisProperty", "pandas._libs.missing.NAType",
    "pandas._libs.sparse.IntIndex", "pandas._libs.sparse.BlockIndex", "pandas._libs.interval.Interval",
    "pandas._libs.interval.IntervalMixin",
    "matplotlib.backends._backend_agg.RendererAgg", "matplotlib.ft2font.FT2Font", "matplotlib._path.Path",
)  # fmt: skip
for _prefix in ("numpy.dtypes.", "numpy.dtype[", "pandas._libs.tslibs.", "pandas._libs.index.", "pandas._libs.interval.", "polars._plr."):
    BY_PREFIX[_prefix] = ATOM

register(_in_rust("_df"), "polars.dataframe.frame.DataFrame")
register(_in_rust("_s"), "polars.series.series.Series")
# Plans, expressions and types of polars never change.
atoms_named(
    "polars.lazyframe.frame.LazyFrame", "polars.expr.expr.Expr", "builtins.PyExpr", "builtins.PyLazyFrame",
    "PyExpr", "PyLazyFrame",
)  # fmt: skip

_ARROW = (
    "Array", "ChunkedArray", "Table", "RecordBatch", "Scalar", "DataType", "Field", "Schema", "KeyValueMetadata",
    "MemoryPool", "Tensor", "SparseCOOTensor", "_Weakrefable",
)  # fmt: skip


def _save_arrow(obj: Any, walk: Walk) -> Any:
    return NOTHING


for _name in _ARROW:
    register(Kind(_save_arrow), f"pyarrow.lib.{_name}")

for _name in ("torch._C.TensorBase", "torch._C._TensorBase"):
    register(Kind(_save_tensor, _put_back_tensor, links=True), _name)
register(Kind(_save_torch_generator, _put_back_torch_generator, links=True), "torch._C.Generator")
atoms_named("torch.dtype", "torch.device", "torch.Size", "torch.layout", "torch.memory_format", "torch._C._TensorMeta")
