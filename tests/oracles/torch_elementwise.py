"""Functions of single entries, and of runs of them, as PyTorch computes them."""

from __future__ import annotations

from tests.oracles import Lazy

torch = Lazy("torch")
F = Lazy("torch.nn.functional")


def bitwise_not(_, x):
    return None if x.dtype == torch.uint64 else torch.bitwise_not(x)  # PyTorch lacks it


def infinite(operator, x):
    return (x.isposinf() & operator.positive) | (x.isneginf() & operator.negative)


def modulo(operator, a, b):
    return torch.fmod(a, b) if operator.truncated else torch.remainder(a, b)


def triangle(operator, x):
    return (torch.triu if operator.upper else torch.tril)(x, operator.diagonal)


def shrink(operator, x):
    if operator.bias not in (0.0, operator.threshold):
        return None  # the soft and the hard one are all that PyTorch has
    shrunk = F.softshrink if operator.bias else F.hardshrink
    return shrunk(x, operator.threshold)


def cumprod(operator, x):
    axis = operator.axis
    x = x.flip(axis) if operator.reverse else x
    if operator.exclusive and x.shape[axis]:
        ones = torch.ones_like(x.narrow(axis, 0, 1))
        x = torch.cat([ones, x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    y = x.cumprod(axis)
    return y.flip(axis) if operator.reverse else y


def dft(operator, x):
    axis = operator.axis % x.ndim
    imaginary = x[..., 1] if x.shape[-1] == 2 else torch.zeros_like(x[..., 0])
    entries = torch.complex(x[..., 0], imaginary)
    if not operator.onesided:
        transform = torch.fft.ifft if operator.inverse else torch.fft.fft
        return torch.view_as_real(transform(entries, operator.length, axis))
    if operator.inverse:
        return torch.fft.irfft(entries, operator.length, axis)[..., None]
    return torch.view_as_real(torch.fft.rfft(x[..., 0], operator.length, axis))


def determinant(_, x):
    y = torch.linalg.det(x)
    return None if (y.abs() < 1e-9).any() else y  # of a singular matrix it finds no gradient
