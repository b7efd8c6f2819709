"""The public functions: they check arguments and draw the seed; the operations do the rest.

`input` may have any shape and strides and is float64, float32, bfloat16 or float16; the result has
its shape and dtype, and its memory layout where that is dense. Like torch's own, each function can
be overridden by `__torch_function__` of a tensor's class or of a mode.
"""

# ruff: noqa: A002 - `input` is what torch calls it

import math

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.ops import _autograd
from selfnorm.theory._dropout import check_probability
from selfnorm.theory._form import SELUForm

_PLAIN = SELUForm()
_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def selu(input: Tensor, inplace: bool = False, *, form: SELUForm | None = None) -> Tensor:
    r"""The scaled exponential linear unit, with an exact derivative.

        selu(x) = lambda * x                      for x > 0
        selu(x) = lambda * alpha * (exp(x) - 1)   otherwise

    with `alpha = 1.6733` and `lambda = 1.0507`, the constants for which mean 0 and variance 1 are a
    fixed point. nan stays nan, -inf gives `-lambda * alpha`, and -0 stays -0. It keeps its input
    for the backward pass, as torch's; value and derivative are within 1 unit in the last place for
    every float32, and rounded correctly in half precision. In place it keeps its output and nothing
    else, and the derivative is that of the rounded output.

    Another form of SELU,

        f(x) = linear * x + factor * selu(x) + shift

    keeps its input, and value and derivative are within 4 units in the last place of the largest of
    the three terms. In place it works on a copy of the input where a gradient is wanted.

    Args:
        input: Any shape; float64, float32, bfloat16 or float16.
        inplace: Write the result into `input`.
        form: Another form of SELU, of `selfnorm.theory.shaped_selu`, say; SELU itself if None.

    Returns:
        A tensor like `input`; `input` itself if in place.

    Raises:
        UnsupportedError: If `input` is not of one of the four dtypes.
        ArgumentError: If `form` is no form of SELU.

    Source: Klambauer et al. 2017, Eq. 2.

    Example:
        >>> x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
        >>> y = selu(x)
        >>> bool(y.mean().abs() < 0.01), bool((y.var() - 1).abs() < 0.01)
        (True, True)
        >>> half = SELUForm(linear=0.5, factor=0.5)
        >>> torch.allclose(selu(x, form=half), (x + y) / 2, atol=1e-6)
        True
    """
    if has_torch_function_unary(input):
        more = {} if form is None else {"form": form}
        return handle_torch_function(selu, (input,), input, inplace=inplace, **more)
    _check_dtype("selu", input)
    if form is None or _is_plain(form):
        return _autograd.selu(input, inplace)
    return _autograd.shaped_selu(input, 0.0, form, inplace)


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Dropout that keeps mean 0 and variance 1: dropped units go to where SELU saturates.

        z = scale * (x if kept else -lambda * alpha) + shift

    with `scale` and `shift` of `selfnorm.theory.alpha_dropout_affine`. The mask is a function of
    one seed, drawn from torch's generator, and is made again in the backward pass. Its probability
    is the multiple of 2**-16 nearest to `p`, and `scale` and `shift` belong to that.

    Args:
        input: Any shape; float64, float32, bfloat16 or float16; mean 0 and variance 1.
        p: Probability that an element is dropped. With `p = 1` the result is 0, the only constant
            that keeps the mean.
        training: If false, `input` is returned as it is.
        inplace: Write the result into `input`.
        generator: Where the seed comes from; torch's default generator if None.

    Returns:
        A tensor like `input`; `input` itself if in place, if not training, or if `p = 0`.

    Raises:
        ArgumentError: If `p` is not in [0, 1].
        UnsupportedError: If `input` is not of one of the four dtypes.

    Source: Klambauer et al. 2017, section 2, "New Dropout Technique".

    Example:
        >>> x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
        >>> z = alpha_dropout(x, 0.2, training=True, generator=torch.Generator().manual_seed(1))
        >>> bool(z.mean().abs() < 0.01), bool((z.var() - 1).abs() < 0.02)
        (True, True)
    """
    if has_torch_function_unary(input):
        return handle_torch_function(
            alpha_dropout, (input,), input, p, training, inplace, generator=generator
        )
    _check_tensor("alpha_dropout", input)
    p = _probability(p)
    if not training or p == 0:
        return input
    _check_dtype("alpha_dropout", input)
    return _autograd.alpha_dropout(input, p, shared=0, inplace=inplace, generator=generator)


def selu_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    form: SELUForm | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""SELU and alpha dropout in one, which keeps its output for backward and nothing else.

    The same as `alpha_dropout(selu(input), p, training)` up to rounding, with the same mask from
    the same seed. As a dropped unit has exactly the value where SELU is flat, the derivative
    follows from the output `z` alone:

        dz/dx = slope if z > shift else z - floor

    with `slope = scale * lambda` and `floor = shift - slope * alpha`.

    Of another form of SELU, `f`, it gives `scale * f(x) + shift`, or `scale * form.dropped + shift`
    where a unit is dropped, with the `scale` and `shift` that keep that form's mean and variance.
    Then input and seed are kept; in place it works on a copy of the input where a gradient is
    wanted. An exported program drops as torch does, which keeps both moments, too.

    Args:
        input: Any shape; float64, float32, bfloat16 or float16.
        p: Probability that an element is dropped. With `p = 1` the result is 0, or the form's mean.
        training: If false, the result is `selu(input, form=form)`.
        inplace: Write the result into `input`.
        form: Another form of SELU, of `selfnorm.theory.shaped_selu`, say; SELU itself if None.
        generator: Where the seed comes from; torch's default generator if None.

    Returns:
        A tensor like `input`; `input` itself if in place.

    Raises:
        ArgumentError: If `p` is not in [0, 1], or `form` is no form of SELU.
        UnsupportedError: If `input` is not of one of the four dtypes.

    Source: Klambauer et al. 2017, Eq. 2 and section 2, "New Dropout Technique".

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(100_000)
        >>> z = selu_alpha_dropout(x, 0.2, training=True)
        >>> bool(z.mean().abs() < 0.01), bool((z.var() - 1).abs() < 0.02)
        (True, True)
    """
    if has_torch_function_unary(input):
        more = {} if form is None else {"form": form}
        return handle_torch_function(
            selu_alpha_dropout, (input,), input, p, training, inplace, generator=generator, **more
        )
    _check_dtype("selu_alpha_dropout", input)
    p = _probability(p)
    if not training:
        p = 0.0
    if form is not None and not _is_plain(form):
        return _autograd.shaped_selu(input, p, form, inplace, generator=generator)
    return _autograd.selu_alpha_dropout(input, p, inplace, generator=generator)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    spatial_dims: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Alpha dropout of whole channels, for feature maps whose neighbors are alike.

    A shape alone does not say whether `(8, 16, 32, 32)` is a batch of images or one volume. So
    without `spatial_dims` the first dimension is the batch and the second the channels, always;
    with it, an input of one dimension less is a single sample, and its first are the channels.

    Args:
        input: `(N, C, ...)`; with `spatial_dims = k`, `(N, C, d1, ..., dk)` or `(C, d1, ..., dk)`.
        p: Probability that a channel of a sample is dropped.
        training: If false, `input` is returned as it is.
        inplace: Write the result into `input`.
        spatial_dims: The number of dimensions after the channels.
        generator: Where the seed comes from; torch's default generator if None.

    Returns:
        A tensor like `input`; `input` itself if in place, if not training, or if `p = 0`.

    Raises:
        ArgumentError: If `p` is not in [0, 1], or `input` has another number of dimensions.
        UnsupportedError: If `input` is not of one of the four dtypes.

    Source: Klambauer et al. 2017, section 2; Tompson et al. 2015, arXiv 1411.4280, for channels.

    Example:
        >>> x = torch.zeros(3, 4, 5, 5)
        >>> z = feature_alpha_dropout(x, training=True, spatial_dims=3)
        >>> [len(channel.unique()) for channel in z]
        [1, 1, 1]
    """
    if has_torch_function_unary(input):
        return handle_torch_function(
            feature_alpha_dropout,
            (input,),
            input,
            p,
            training,
            inplace,
            spatial_dims=spatial_dims,
            generator=generator,
        )
    _check_tensor("feature_alpha_dropout", input)
    p = _probability(p)
    if not training or p == 0:
        return input
    _check_dtype("feature_alpha_dropout", input)
    shared = _count_shared(input.ndim, spatial_dims)
    return _autograd.alpha_dropout(input, p, shared=shared, inplace=inplace, generator=generator)


def _probability(p: float) -> float:
    """A number, also where it came as a tensor of no dimensions."""
    if isinstance(p, Tensor) and p.ndim:
        raise ArgumentError(
            f"p is one number; got a tensor of shape {tuple(p.shape)}. Pass one of its elements."
        )
    check_probability(p)
    return p if type(p) is float else float(p)


def _is_plain(form: SELUForm) -> bool:
    """Whether a form is SELU itself."""
    if not isinstance(form, SELUForm):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"form is a selfnorm.theory.SELUForm, or None for SELU itself; got {form!r}. "
            "selfnorm.theory.shaped_selu(depth) makes one."
        )
    linear, factor, shift = form
    if not (0 <= linear < math.inf and 0 < factor < math.inf and abs(shift) < math.inf):
        raise ArgumentError(
            "A form of SELU has a linear part of 0 or more, a positive factor and a shift, all "
            f"finite; got {form}. selfnorm.theory.shaped_selu(depth) makes one."
        )
    return form == _PLAIN


def _count_shared(ndim: int, spatial_dims: int | None) -> int:
    """How many dimensions at the end are kept or dropped as one."""
    if spatial_dims is None:
        if ndim < 2:
            raise ArgumentError(
                f"feature_alpha_dropout takes (N, C, ...), 2 dimensions or more; got {ndim}. "
                "For a sample without batch pass spatial_dims, the dimensions after the channels."
            )
        return ndim - 2
    if spatial_dims < 0 or ndim not in (spatial_dims + 1, spatial_dims + 2):
        raise ArgumentError(
            f"With spatial_dims={spatial_dims} the input has {spatial_dims + 1} dimensions, or "
            f"{spatial_dims + 2} with a batch, and spatial_dims is not negative; got {ndim}. "
            "Pass the number of dimensions after the channels: 2 for images."
        )
    return spatial_dims


def _check_tensor(name: str, x: Tensor) -> None:
    if not isinstance(x, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnsupportedError(
            f"{name} takes a tensor; got {type(x).__name__}. torch.as_tensor(input) makes one."
        )


def _check_dtype(name: str, x: Tensor) -> None:
    if getattr(x, "dtype", None) in _DTYPES:
        return
    _check_tensor(name, x)
    if x.is_complex():
        mend = "Call it for input.real and input.imag"
    elif x.is_quantized:
        mend = "Convert the input first with input.dequantize()"
    else:
        mend = "Convert the input first, for instance with input.float()"
    raise UnsupportedError(
        f"{name} takes float64, float32, bfloat16 or float16; got {x.dtype}. {mend}."
    )
