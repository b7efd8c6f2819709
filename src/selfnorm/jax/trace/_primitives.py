"""What JAX's primitives do, by name."""

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Calls of another jaxpr, and the parameter that holds it."""
_NAMES = {
    "transparent": """
        _where where clip _broadcast_arrays <lambda>
    """,
    "elementwise": """
        abs acos acosh add and asin asinh atan atan2 atanh cbrt ceil clamp cos cosh
        convert_element_type copy copy_p digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge
        gt integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter
        not or pow real imag reduce_precision rem round rsqrt select_n sign sin sinh sqrt square
        stop_gradient sub tan tanh xor bitcast_convert_type shift_left shift_right_logical
        shift_right_arithmetic broadcast_in_dim iota add_any
    """,
    "moving": """
        reshape transpose squeeze expand_dims broadcast_in_dim slice dynamic_slice rev copy
        copy_p convert_element_type stop_gradient reduce_precision optimization_barrier split
        sharding_constraint dynamic_update_slice sort real imag device_put name
    """,
    "statistics": """
        reduce_sum reduce_max reduce_min reduce_prod argmax argmin cumsum cumlogsumexp
    """,
    "pooling": """
        reduce_window reduce_window_max reduce_window_min reduce_window_sum
    """,
    "scaling": """
        add sub mul div neg convert_element_type broadcast_in_dim
    """,
}
TRANSPARENT, ELEMENTWISE, MOVING, STATISTICS, POOLING, SCALING = (
    frozenset(names.split()) for names in _NAMES.values()
)
"""Helpers whose name nobody called; functions of single numbers; what moves, copies, picks or casts
values, which keeps their moments; reductions over axes, and over windows; how a norm is applied."""
BY_INDEX = frozenset({"scatter-add", "scatter_add"})
"""Sums over neighbors by the index of who receives, as of `jax.ops.segment_sum`."""
ROWWISE = {
    "softmax": ("activation", "softmax"),
    "log_softmax": ("activation", "log_softmax"),
    "standardize": ("normalization", ""),
}
"""Functions of rows that have a name, with role and activation."""
