"""How fast a mirror flow of a convex loss has to converge."""

import dataclasses

import numpy as np
import pytest
from squares import a, entropy, x0

import geoflow as gf


def flow_to_the_minimum(R, loss, w0):
    return gf.mirror_flow(loss, R, w0, np.r_[0.0, np.geomspace(1e-2, 50.0, 40)])


def test_the_rate_of_convex_losses_is_bounded(rng):
    """L(w(t)) - L(w*) <= D_R(w*, w0) / t, for every w*."""
    loss, w0 = gf.LeastSquares(np.eye(2), a), x0**2
    flow = flow_to_the_minimum(entropy, loss, w0)
    for target in (a, rng.uniform(0.2, 2, 2)):
        check = gf.check_rate_bound(entropy, flow, loss, target)
        assert check and check.evidence["largest_ratio"] <= 1 and check.n_points == len(flow.t)
    assert gf.check_rate_bound(entropy, flow, loss, a).evidence["largest_ratio"] > 1e-2
    slow = dataclasses.replace(flow, t=100 * flow.t)  # as if it had taken longer
    check = gf.check_rate_bound(entropy, slow, loss, a)
    assert not check and check.defect > 0.1
    with pytest.raises(gf.CheckError, match="rate bound"):
        check.unwrap()


def test_the_rate_bound_fails_for_a_loss_of_another_value():
    loss = gf.LeastSquares(np.eye(2), a)
    flow = flow_to_the_minimum(entropy, loss, x0**2)
    nearby = x0**2 + 1e-3 * (a - x0**2)
    assert not gf.check_rate_bound(entropy, flow, lambda v: -1.0, nearby)


def test_the_rate_bound_asks_for_a_start_at_zero_and_another_point():
    loss = gf.LeastSquares(np.eye(2), a)
    flow = flow_to_the_minimum(entropy, loss, x0**2)
    with pytest.raises(gf.DomainError, match="away from"):
        gf.check_rate_bound(entropy, flow, loss, flow.w[0])
    with pytest.raises(gf.ArgumentError, match="t = 0"):
        gf.check_rate_bound(entropy, dataclasses.replace(flow, t=1 + flow.t), loss, a)
    with pytest.raises(gf.DomainError):
        gf.check_rate_bound(entropy, flow, loss, [-1.0, 1.0])
