"""Why no w has grad R(w) = mu: R(w) - <mu, w> goes on falling along a ray, to infinity or to a wall of the domain.

Along a ray in the direction s the slope of a convex R grows to a limit. Where that limit is at most <mu, s>, nothing on
the ray is a minimum of R(w) - <mu, w>, and nothing elsewhere: all its level sets are bounded where it has one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, Mask
from geoflow._validate import describe
from geoflow.errors import ConvergenceError, DomainError
from geoflow.potentials.newton import ACCURACY, EPS, Convex, Named, Solution

#: how far a ray is followed, in units of its start
FAR = 10.0 ** np.arange(-14, 131, 2)
#: by what the growth of a slope shrinks, from one point to the next, where the slope has a limit
SHRINKS = 0.8


def require_solved(R: Named, mu: Array, found: Solution) -> None:
    """Refuse the first entry of a batch that has no solution, or none to eight digits, and say which of the two.

    Raises
    ------
    DomainError, ConvergenceError
        With the `point` mu, its `index` in the batch, the `defect`, and `converged`, shape=[...], of all entries.
    """
    bad = ~found.accurate
    if not bad.any():
        return
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    place = f" at batch entry {index}" if index else ""
    told = {"point": mu[index], "index": index, "converged": found.accurate}
    if why := reason(R.kernel, mu[index], found.w[index]):
        raise DomainError(
            f"mu outside the range of the gradient of {R.name}",
            got=f"mu = {describe(mu[index])}{place}, where {why}",
            wanted=f"mu = grad R(w) for some w of {R.kernel.domain}",
            remedy="choose mu in the domain of the conjugate",
            defect=float(found.residual[index]),
            **told,
        )
    if not found.converged[index]:
        raise ConvergenceError(
            f"Newton's method for grad {R.name} = mu did not converge",
            got=f"residual {found.residual[index]:.1e} relative at mu = {describe(mu[index])}{place}, w near "
            f"{describe(found.w[index])}",
            wanted="grad R(w) = mu to rounding",
            remedy="pass a `start` nearer to w, give the conjugate in closed form, or move mu inside the range",
            defect=float(found.residual[index]),
            **told,
        )
    raise ConvergenceError(
        f"w with grad {R.name} = mu is not told to eight digits",
        got=f"rounding that moves w by {found.relative_error[index]:.1e} of itself, mu = {describe(mu[index])}{place}",
        wanted=f"at most {ACCURACY:.0e}",
        remedy="give the conjugate in closed form, or a gradient that does not cancel",
        defect=float(found.relative_error[index]),
        **told,
    )


def reason(kernel: Convex, mu: Array, w: Array) -> str:
    """What shows that mu is not in the range of the gradient, shape=[d], from where a solver left w; "" where nothing.

    Rays from w, and from the centre of the domain through w.
    """
    centre = np.asarray(kernel.domain.interior_point(), dtype=float)
    if not np.isfinite(w).all():
        w = centre
    with np.errstate(all="ignore"):
        g = kernel.derivative(1, w[None])[0] - mu
        for base, s in ((w, w - centre), (centre, w - centre), (w, -g), (centre, mu - kernel.derivative(1, centre))):
            size = np.abs(s).max()
            if 0 < size < np.inf and (told := _along(kernel, mu, base, s / size)):
                return told
    return ""


def _along(kernel: Convex, mu: Array, base: Array, s: Array) -> str:
    """What the ray from base in the direction s, |s| = 1, shows; "" where its slopes have no limit below <mu, s>."""
    unit = np.abs(base).max() + 1.0

    def slopes(t: Array) -> tuple[Array, Mask]:
        at = base + t[:, None] * s
        inside = kernel.inside(at)
        g = kernel.derivative(1, np.where(inside[:, None], at, base))
        return np.where(inside, g @ s, np.nan), inside

    far = FAR[FAR * unit < 1e300] * unit
    last, wall = -1, False
    for t in far:  # a value may be a solve: none is asked for beyond the last
        value, inside = slopes(t[None])
        if value[0] == np.inf:
            return ""
        if not np.isfinite(value[0]):
            wall = not inside[0]
            break
        last += 1
    if last < 0:
        return ""
    if not wall and far[last] < 1e2 * unit:
        return ""
    t = _towards(slopes, far[last], far[last + 1], EPS * unit) if wall else far[last] * 2.0 ** np.arange(-6, 1)
    slope, wanted = slopes(t)[0], float(mu @ s)
    slope = slope[np.isfinite(slope)]
    if len(slope) < 3:
        return ""
    growth = np.maximum(np.diff(slope), 0.0)
    limit, shrinks = slope[-1], growth[-1] / (growth[-2] + 1e-300)
    if growth[-1] > 8 * EPS * np.abs(slope[-1]):
        if shrinks > SHRINKS:
            return ""
        limit = slope[-1] + growth[-1] * (shrinks / (1 - shrinks) + 1e-6)
    rounding = 8 * EPS * (np.abs(slope[-1]) + np.abs(mu) @ np.abs(s)) + 2e-6 * growth[-1]
    if limit > wanted + rounding:
        return ""
    where = "at the edge of the domain" if wall else f"at a distance of {far[last]:.0e}"
    if limit > wanted - rounding:
        what = f"its limit, which is <mu, s> = {wanted:.6g} to rounding: mu is on the edge of the range"
    else:
        what = f"below <mu, s> = {wanted:.6g}"
    return f"<grad R, s> is {slope[-1]:.6g} {where} along s = {describe(s)}, {what}"


def _towards(slopes: Callable[[Array], tuple[Array, Mask]], inside: float, outside: float, rounding: float) -> Array:
    """Distances that approach the wall between them by factors of 4, as far as rounding lets them."""
    for _ in range(200):
        middle = (inside + outside) / 2
        if not inside < middle < outside:
            break
        inside, outside = (middle, outside) if slopes(np.array([middle]))[1][0] else (inside, middle)
    gaps = inside * 0.25 ** np.arange(3, 20)
    return np.asarray(inside - gaps[gaps > 64 * rounding])
