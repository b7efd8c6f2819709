"""Weights of variance 1/fan_in and biases of zero: the start from which SELU keeps variance one."""

from selfnorm.init._convolutions import orthogonal_convolution_ as orthogonal_convolution_
from selfnorm.init._distributions import lecun_normal_ as lecun_normal_
from selfnorm.init._distributions import lecun_orthogonal_ as lecun_orthogonal_
from selfnorm.init._distributions import lecun_uniform_ as lecun_uniform_
from selfnorm.init._model import initialize_ as initialize_

__all__ = [
    "initialize_",
    "lecun_normal_",
    "lecun_orthogonal_",
    "lecun_uniform_",
    "orthogonal_convolution_",
]
