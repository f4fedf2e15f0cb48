"""A Relax function of one dataflow block as a graph that can be rebuilt binding by binding."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tvm
import tvm_ffi
from tvm import relax

New = Callable[[relax.Expr], relax.Expr]
Rewrite = Callable[[relax.Var, relax.Expr, New], relax.Expr | None]


class Dataflow:
    """The value and the users of each variable of `function`, whose body is one dataflow block.

    `values` keeps the order of the bindings. Raises `ValueError` for any other body.
    """

    def __init__(self, function: relax.Function) -> None:
        blocks = function.body.blocks
        if len(blocks) != 1 or not isinstance(blocks[0], relax.DataflowBlock):
            raise ValueError("the function's body must be exactly one dataflow block")
        self.function = function
        self.parameters: list[relax.Var] = list(function.params)
        self.values: dict[relax.Var, relax.Expr] = {b.var: b.value for b in blocks[0].bindings}
        self.result: relax.Var = function.body.body
        self.users: dict[relax.Var, list[relax.Var]] = {
            var: [] for var in (*self.parameters, *self.values)
        }
        for var, value in self.values.items():
            for argument in arguments(value):
                if argument in self.users:
                    self.users[argument].append(var)

    def match(self, expression: relax.Expr, operator: str) -> relax.Call | None:
        """The call of `operator` that is `expression` or defines it, else None."""
        value = self.values.get(expression, expression)
        return value if is_call(value, operator) else None

    def single_user(self, var: relax.Var) -> relax.Var | None:
        """The single variable whose value reads `var`; None if there are several or none, or if
        `var` is the result.
        """
        users = self.users[var]
        return users[0] if len(users) == 1 and var != self.result else None

    def kernel_calls(self) -> dict[str, int]:
        """How often the function calls each PrimFunc, by name."""
        calls = [value for value in self.values.values() if is_call(value, "call_tir")]
        return dict(Counter(str(call.args[0].name_hint) for call in calls))

    def rebuild(self, rewrite: Rewrite) -> relax.Function:
        """The function with `rewrite(var, value, new)` in place of each value.

        `new` maps an expression of this function to the rebuilt one. If `rewrite` returns None, the
        operator stays, on its rebuilt arguments. Bindings without users are removed. A variable
        whose type stays is kept, so that no user of it is typed anew: TVM takes a millisecond to
        find the shape of a convolution.
        """
        builder = relax.BlockBuilder()
        rebuilt: dict[relax.Var, relax.Expr] = {p: p for p in self.parameters}

        def new(expression: relax.Expr) -> relax.Expr:
            if isinstance(expression, relax.Tuple):
                return relax.Tuple([new(field) for field in expression.fields])
            return rebuilt.get(expression, expression)

        with builder.function("main", self.parameters):
            with builder.dataflow():
                for var, value in self.values.items():
                    expression = rewrite(var, value, new)
                    if expression is None:
                        expression = _with_arguments(value, new)
                    is_atom = isinstance(expression, relax.Var) or array(expression) is not None
                    rebuilt[var] = expression if is_atom else _bind(builder, var, expression)
                output = builder.emit_output(new(self.result))
            builder.emit_func_output(output)
        rebuilt_function = builder.get()["main"]
        if self.function.attrs:
            rebuilt_function = rebuilt_function.with_attrs(dict(self.function.attrs.items()))
        cleaned = relax.analysis.remove_all_unused(rebuilt_function)
        return cleaned


def arguments(value: relax.Expr) -> list[relax.Expr]:
    """The expressions that `value` reads, fields of tuple arguments included."""
    if isinstance(value, relax.Tuple):
        return list(value.fields)
    if isinstance(value, relax.TupleGetItem):
        return [value.tuple_value]
    if isinstance(value, relax.Call):
        return [
            field
            for argument in value.args
            for field in (argument.fields if isinstance(argument, relax.Tuple) else [argument])
        ]
    return [value]


def is_call(value: relax.Expr | None, operator: str) -> bool:
    """Whether `value` is a call of the Relax operator named `relax.<operator>`."""
    return isinstance(value, relax.Call) and getattr(value.op, "name", "") == f"relax.{operator}"


def array(expression: relax.Expr) -> npt.NDArray[np.generic] | None:
    """The value of a tensor constant, else None."""
    if not isinstance(expression, tvm.ir.GenericConst):
        return None
    values: npt.NDArray[np.generic] = expression.value.numpy()
    return values


def float64(expression: relax.Expr) -> npt.NDArray[np.float64]:
    """The value of a tensor constant in float64. Raises `ValueError` if it is not one."""
    values = array(expression)
    if values is None:
        raise ValueError(f"not a tensor constant: {expression}")
    return values.astype("float64")


def shape(expression: relax.Expr) -> tuple[int, ...]:
    """The static shape of a tensor expression."""
    return tuple(int(extent) for extent in expression.ty.shape)


def pair(values: Sequence[int]) -> tuple[int, int]:
    """An attribute of two numbers, (vertical, horizontal)."""
    vertical, horizontal = (int(value) for value in values)
    return vertical, horizontal


def itemsize(expression: relax.Expr) -> int:
    """Bytes of one element of a tensor expression."""
    return np.dtype(str(expression.ty.dtype)).itemsize


def constant(values: npt.ArrayLike) -> relax.Expr:
    """A float32 tensor constant."""
    return relax.const(np.ascontiguousarray(values, dtype="float32"))


def channel_constant(values: Sequence[float] | npt.NDArray[np.floating]) -> relax.Expr:
    """`(C,)` values as a float32 constant `(1, C, 1, 1)` that broadcasts over NCHW."""
    return constant(np.asarray(values).reshape(1, -1, 1, 1))


def conv2d_like(call: relax.Call, data: relax.Expr, weight: npt.ArrayLike) -> relax.Call:
    """The convolution `call` with its strides and padding on other data and OIHW weights."""
    return relax.Call(call.op, [data, constant(weight)], call.attrs)


def _bind(builder: relax.BlockBuilder, var: relax.Var, value: relax.Expr) -> relax.Var:
    """`var` with another value if it has the same type, else a new variable."""
    value = builder.normalize(value)
    if not tvm_ffi.structural_equal(value.ty, var.ty):
        return builder.emit(value)
    builder.emit_normalized(relax.VarBinding(var, value))
    return var


def _with_arguments(value: relax.Expr, new: New) -> relax.Expr:
    if all(new(argument).same_as(argument) for argument in arguments(value)):
        return value
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(new(value.tuple_value), value.index)
    if isinstance(value, relax.Call):
        return relax.Call(value.op, [new(a) for a in value.args], value.attrs, value.ty_args)
    return new(value)
