"""What a torch function does, by its name: the one thing that all of its forms share.

`torch.relu`, `relu_`, `F.relu`, `Tensor.relu` and `nn.ReLU` all arrive as a call named `relu`.
"""

ACTIVATIONS = frozenset(
    [
        "celu",
        "elu",
        "gelu",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "log_softmax",
        "logsigmoid",
        "log_sigmoid",
        "mish",
        "prelu",
        "relu",
        "relu6",
        "rrelu",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softmin",
        "softplus",
        "softshrink",
        "softsign",
        "tanh",
        "tanhshrink",
        "threshold",
        "gumbel_softmax",
    ]
)

_ROLES = {
    "linear": (
        "linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d "
        "addmm baddbmm"
    ),
    "matmul": "matmul rmatmul mm spmm sparse_mm bmm einsum",
    "embedding": "embedding embedding_bag",
    "recurrent": "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell",
    "attention": "multi_head_attention_forward scaled_dot_product_attention",
    "normalization": (
        "batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm normalize"
    ),
    "pooling": (
        "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices "
        "max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
        "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices "
        "adaptive_max_pool3d_with_indices fractional_max_pool2d_with_indices "
        "fractional_max_pool3d_with_indices lp_pool1d lp_pool2d lp_pool3d mean sum amax amin max"
    ),
    "dropout": "dropout dropout1d dropout2d dropout3d feature_dropout native_dropout",
    "alpha dropout": "alpha_dropout feature_alpha_dropout",
    "sum": "add radd iadd sub rsub isub subtract",
    "times": "mul rmul imul div truediv itruediv rtruediv multiply divide true_divide",
    "concatenation": "cat concat concatenate stack hstack vstack dstack",
    "product": "glu",  # of its halves
    "padding": "pad",
    # What moves, copies, picks or casts values keeps their moments, and is passed over.
    "": (
        "view reshape flatten unflatten transpose t permute getitem setitem unsqueeze squeeze "
        "contiguous clone detach to float double half bfloat16 cpu cuda chunk split unbind narrow "
        "select expand expand_as repeat repeat_interleave tile movedim moveaxis swapaxes swapdims "
        "roll flip gather index_select type_as type view_as reshape_as requires_grad pixel_shuffle "
        "pixel_unshuffle channel_shuffle interpolate upsample masked_fill where take_along_dim get "
        "set as_strided unfold fold tensor_split dsplit hsplit vsplit unsafe_chunk unsafe_split "
        "split_with_sizes pack_padded_sequence pad_packed_sequence fake_quantize broadcast_to "
        "broadcast_tensors "
        "masked_select alias adjoint diagonal tril triu index_copy index_put copy "
        "register_hook retain_grad backward numpy tolist item size dim numel stride "
        "is_floating_point is_complex len argmax argmin sort topk eq ne lt gt le ge isnan isinf "
        "isfinite native_channel_shuffle atleast_1d atleast_2d atleast_3d ravel positive pos"
    ),
}
ROLE_BY_NAME = {
    name: role for role, names in _ROLES.items() for name in names.split()
} | dict.fromkeys((*ACTIVATIONS, "selu_alpha_dropout"), "activation")

PREPARING = frozenset({"addition", "scale", "product", "concatenation", "linear", "unknown"})
"""Roles of what may stand between what a model is given and what its first weights read."""

CHANNELS_SECOND = ("conv", "batch_norm", "group_norm", "instance_norm", "pool", "feature_alpha")
"""Parts of names of functions whose units lie along dimension 1."""

_NOT_POINTWISE = {"softmax", "log_softmax", "softmin", "gumbel_softmax", "rrelu"}
_FURTHER = (
    "abs absolute asinh atan arctan bfloat16 clamp clamp_max clamp_min clip clone contiguous cos "
    "cosh detach double eq erf exp exp2 expit expm1 float floor ge gt half heaviside le log log1p "
    "log2 logaddexp logical_and logical_not logical_or lt masked_fill maximum minimum nan_to_num "
    "ne neg negative positive pow reciprocal round rpow rsqrt sign sin sinc sinh sqrt square tan "
    "to type type_as where"
)
POINTWISE = frozenset(
    [
        *(ACTIVATIONS - _NOT_POINTWISE),
        *_FURTHER.split(),
        *_ROLES["sum"].split(),
        *_ROLES["times"].split(),
    ]
)
"""Functions of each number by itself, as long as all else that they read are single numbers."""
_REDUCING = "mean sum var std var_mean std_mean norm vector_norm amax amin"
STATISTICS = frozenset(_REDUCING.split())
"""Functions that make one number of many."""
_RESHAPING = "unsqueeze view reshape expand expand_as squeeze view_as broadcast_to"
MOVING = frozenset(_RESHAPING.split())
"""Functions that bring a statistic back to the shape of what it is of."""
_ALSO = "clone contiguous detach flatten permute t transpose setitem"
ALIASING = MOVING | frozenset(_ALSO.split())
"""Functions that read nothing: what comes of them is the same numbers."""
_LIKE = "zeros_like ones_like empty_like rand_like randn_like full_like randint_like"
_NEW = "new_zeros new_empty new_ones new_full new_tensor"
MAKING = frozenset((*_LIKE.split(), *_NEW.split()))
"""Functions that take a tensor's shape and not its values."""
CHOOSING = frozenset({"where", "masked_fill"})
"""Functions that make a new value of others, and are no layer unless they bend."""


def plain_name(function: object) -> str:
    """A function's name without the underscores of in-place and special methods."""
    return getattr(function, "__name__", type(function).__name__).strip("_")


def in_place(function: object, arguments: dict[str, object]) -> bool:
    """Whether a call writes into its first argument."""
    name: str = getattr(function, "__name__", "")
    special = name.startswith("__")
    return (
        (name.endswith("_") and not special)
        or name in {"__iadd__", "__isub__", "__imul__", "__itruediv__", "__setitem__"}
        or arguments.get("inplace") is True
    )
