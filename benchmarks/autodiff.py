"""Speed of the batched derivatives, side by side with peers in one run: ratios of medians of interleaved timings.

Run: python benchmarks/autodiff.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import geoflow as gf


def interleaved(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that a change of the machine's speed hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def jacobian_of_a_batch(n_points: int = 1000, rounds: int = 7) -> dict[str, float]:
    """Jacobian of a map R^2 -> R^6 at a batch of points: geoflow against geomstats' `jacobian_vec`."""
    import autograd.numpy as anp
    import geomstats.backend as gs

    def f(x: Any) -> Any:
        a, b = x[..., 0], x[..., 1]
        return anp.stack([a * b, anp.sin(a), anp.cos(b), a**2, anp.exp(b), a + b**3], axis=-1)

    x = np.random.default_rng(0).standard_normal((n_points, 2))
    ours, theirs = gf.autodiff.jacobian(f), gs.autodiff.jacobian_vec(f)
    if not np.allclose(ours(x), theirs(x), rtol=1e-13, atol=1e-14):
        raise AssertionError("the two jacobians differ")
    return interleaved({"geoflow": lambda: ours(x), "geomstats": lambda: theirs(x)}, rounds)


def brackets_of_a_point(d: int = 10, rounds: int = 7) -> dict[str, float]:
    """All brackets of u^2 - v^2 at one point: geoflow against Hessians of the components, one by one, by autograd."""
    import autograd

    G = gf.Parametrization(lambda x: x[..., :d] ** 2 - x[..., d:] ** 2, space=2 * d, codomain_dim=d)
    x = np.random.default_rng(0).standard_normal(2 * d)

    def one_by_one() -> Any:
        hessians = np.stack([autograd.hessian(lambda y, i=i: G(y)[i])(x) for i in range(d)])
        rows = np.stack([autograd.grad(lambda y, i=i: G(y)[i])(x) for i in range(d)])
        along = np.einsum("jpq,iq->ijp", hessians, rows)
        return along - np.swapaxes(along, 0, 1)

    if not np.allclose(G.brackets(x), one_by_one(), atol=1e-13):
        raise AssertionError("the two brackets differ")
    return interleaved({"geoflow": lambda: G.brackets(x), "autograd": one_by_one}, rounds)


def main() -> None:
    for title, seconds in [
        ("jacobian of 1,000 points, R^2 -> R^6", jacobian_of_a_batch()),
        ("all brackets of u^2 - v^2, d = 10, one point", brackets_of_a_point()),
    ]:
        ours, (peer, theirs) = seconds["geoflow"], next(i for i in seconds.items() if i[0] != "geoflow")
        print(
            f"{title}: geoflow {1e3 * ours:.2f} ms, {peer} {1e3 * theirs:.1f} ms, ratio of medians {theirs / ours:.0f}"
        )


if __name__ == "__main__":
    main()
