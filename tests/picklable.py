"""Functions at the top level of a module, which another process can import: those of `test_pickling.py`."""

import autograd.numpy as anp


def cube(x):
    return x**3 + x


def cube_jacobian(x):
    return anp.expand_dims(3 * x**2 + 1, -1) * anp.eye(2)


def cube_product(x, u, v):
    return 6 * x * u * v


def quartic(w):
    return anp.sum(w**4 / 4 + w**2 / 2, axis=-1)


def pulse(w, t):
    return anp.sum((w - 1) ** 2, axis=-1) * anp.exp(-t)


def decay(x):
    return anp.sum(x**2, axis=-1)


def turn(x):
    return anp.stack([-x[..., 1], x[..., 0]], axis=-1)


def inside(w):
    return anp.sum(w**2, axis=-1) < 4


def run(task):
    return task()
