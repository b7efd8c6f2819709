"""The operations in numbers alone: constants, polynomials, random bits. Without torch.

Every backend computes from these: the reference, the kernels on CPU and GPU.
"""
