"""A proved bound is never below the true error, and within ten times of it."""

import subprocess
import sys

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest

import geoflow as gf
from benchmarks import proof as benchmark
from geoflow.realization.archive import read_arrays, write_arrays
from geoflow.realization.files import check_proof

CASES = {
    "gaussian_log_partition": ([-1.0, -2.0], [1.0, -0.5]),
    "log_sum_exp": ([-1.0, -1.0], [1.0, 1.0]),
    "quartic": ([-1.0, -1.0], [1.0, 1.0]),
}


def realized(name, method, d=2, tol=1e-8):
    lower, upper = CASES[name]
    R = gf.catalog.potentials[name](d)
    return gf.realize(R, gf.domains.Box(lower[:d], upper[:d]), method=method, tol=tol)


def exact_hessian(name, w):
    """Of a potential at a point of mpmath numbers, by its formula."""
    if name == "gaussian_log_partition":
        a, b = w
        return mpmath.matrix([[-1 / (2 * b), a / (2 * b**2)], [a / (2 * b**2), -(a**2) / (2 * b**3) + 1 / (2 * b**2)]])
    if name == "quartic":
        s = sum(c * c for c in w)
        return mpmath.matrix([[(1 + s) * (i == j) + 2 * w[i] * w[j] for j in range(len(w))] for i in range(len(w))])
    p = [mpmath.exp(c) for c in w]
    total = 1 + sum(p)
    p = [c / total for c in p]
    return mpmath.matrix([[p[i] * (i == j) - p[i] * p[j] for j in range(len(w))] for i in range(len(w))])


def chebyshev(t, p):
    """T_k and T_k' at t, k up to p."""
    T, U = [mpmath.mpf(1), t], [mpmath.mpf(1), 2 * t]
    for _ in range(p):
        T.append(2 * t * T[-1] - T[-2])
        U.append(2 * t * U[-1] - U[-2])
    return T[: p + 1], [mpmath.mpf(0), *(k * U[k - 1] for k in range(1, p + 1))]


def exact_jacobian(F, w):
    """dF of a spectral map, or of a twist, at a point, in the precision of mpmath."""
    d = F.dim
    box = F.map.basis if F.method == "spectral" else F.map.amplitudes
    scale, low = [mpmath.mpf(float(c)) for c in box.scale], [mpmath.mpf(float(c)) for c in box.lower]
    series = [chebyshev((w[i] - low[i]) * scale[i] - 1, box.degree) for i in range(d)]

    def of(index, order):
        return mpmath.fprod(series[i][order[i]][int(k)] * scale[i] ** order[i] for i, k in enumerate(index))

    orders = [tuple(int(i == j) for j in range(d)) for i in range(d)]
    if F.method == "spectral":
        basis = [[of(k, order) for k in box.index] for order in orders]
        return mpmath.matrix(
            [[mpmath.fdot(map(mpmath.mpf, map(float, row)), b) for b in basis] for row in F.map.coefficients]
        )
    indices, lam = list(np.ndindex(*[box.degree + 1] * d)), mpmath.mpf(float(F.map.frequency))
    basis = [[of(k, order) for k in indices] for order in [(0,) * d, *orders]]
    rows = [[mpmath.mpf(float(c)) for c in row] for row in F.map.front]
    for r, line in enumerate(F.map.directions):
        c = [mpmath.mpf(float(box.coefficients[(*k, r)])) for k in indices]
        a, *da = (mpmath.fdot(c, b) for b in basis)
        line = [mpmath.mpf(float(x)) for x in line]
        phase = lam * mpmath.fdot(line, [w[i] - low[i] for i in range(d)])
        cos, sin = mpmath.cos(phase), mpmath.sin(phase)
        rows += [
            [da[i] * cos / lam - a * sin * line[i] for i in range(d)],
            [da[i] * sin / lam + a * cos * line[i] for i in range(d)],
        ]
    return mpmath.matrix(rows)


def true_error(F, name, w):
    """The relative metric error at a float point, to many digits: the largest |root - 1| of det(J^T J - x H)."""
    with mpmath.workdps(60):
        w = [mpmath.mpf(float(c)) for c in w]
        H, J = exact_hessian(name, w), exact_jacobian(F, w)
        L = mpmath.cholesky(H) ** -1
        E = L * (J.T * J - H) * L.T
        return float(max(abs(x) for x in mpmath.eigsy(E, eigvals_only=True)))


def worst_points(F, n=20_000, keep=6):
    lower, upper = F.region.lower, F.region.upper
    rng = np.random.default_rng(5)
    w = lower + (upper - lower) * (1 - np.cos(np.pi * rng.uniform(size=(n, F.dim)))) / 2
    for _ in range(4):  # climb: smaller and smaller steps about the worst
        order = np.argsort(-F.metric_error(w))[:200]
        best = w[order]
        near = (
            best[:, None]
            + 0.02 * (upper - lower) * rng.standard_normal((200, 20, F.dim)) * rng.uniform(size=(200, 20, 1)) ** 3
        )
        w = np.concatenate([best, np.clip(near.reshape(-1, F.dim), lower, upper)])
    return w[np.argsort(-F.metric_error(w))[:keep]]


@pytest.mark.parametrize(("name", "method"), [
    ("gaussian_log_partition", "spectral"), ("log_sum_exp", "spectral"), ("quartic", "spectral"),
    ("log_sum_exp", "twist"),
])  # fmt: skip
def test_the_bound_is_above_the_true_error_and_within_ten_times(name, method):
    pytest.importorskip("flint")
    F = realized(name, method)
    proof = F.prove()
    worst = [true_error(F, name, w) for w in worst_points(F)[: 3 if method == "twist" else 6]]
    assert proof and max(worst) <= proof.eps
    assert proof.eps <= 10 * max(proof.measured, 1e-12)
    eigenvalues = np.linalg.eigvalsh(F.metric_matrix(F.region.random_point(2000, rng=0)))
    assert 0.1 * eigenvalues.min() < proof.least_eigenvalue <= eigenvalues.min()
    assert eigenvalues.max() <= proof.largest_eigenvalue < 10 * eigenvalues.max()
    assert proof.immersion and f"{proof.eps:.3g}" in str(proof)


@pytest.mark.parametrize("method", ["spectral", "twist"])
def test_in_one_dimension_and_that_a_map_is_injective(method):
    pytest.importorskip("flint")
    F = realized("log_sum_exp", method, d=1, tol=1e-9)
    proof = F.prove()
    worst = max(true_error(F, "log_sum_exp", w) for w in worst_points(F, 2000, 3))
    assert worst <= proof.eps <= 10 * max(proof.measured, 1e-12)
    w = F.region.random_point(400, rng=0)
    near = np.linalg.norm(F(w[:200]) - F(w[200:]), axis=1) / np.linalg.norm(w[:200] - w[200:], axis=1)
    assert proof.injectivity <= near.min()


def bumped(amplitude, width, at):
    """|w|^2 and a bump that breaks the metric by about amplitude."""
    return gf.LegendreFunction(
        lambda w: anp.sum(w**2, axis=-1) + amplitude * width**2 * anp.exp(-anp.sum((w - at) ** 2, axis=-1) / width**2),
        2,
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_bound_below_the_error_of_a_bump_that_the_points_miss(seed):
    pytest.importorskip("flint")
    rng = np.random.default_rng(seed)
    width, at = 10.0 ** rng.uniform(-3, -1), rng.uniform(-0.8, 0.8, 2)
    R, plain = bumped(1e-3, width, at), gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1), 2)
    box = gf.domains.Box([-1.0, -1.0], [1.0, 1.0])
    F = gf.realize(plain, box, method="spectral", tol=1e-9)
    # the same map, for the potential with the bump: at its top the Hessian is (2 - 2 amplitude) I
    there = gf.realization.realized.Realization(
        F.map, gf.realization.target.Target.hessian(R, box), "spectral", "", F.certificate
    )
    true = there.metric_error(at[None])[0]
    assert true > 9e-4
    proof = there.prove()
    assert proof.eps >= true
    assert width > 0.05 or not proof, "a bump of this width takes more nodes than a proof has"
    assert F.prove().eps < 1e-9


def test_a_hessian_that_is_not_analytic_near_the_box_proves_nothing():
    pytest.importorskip("flint")
    R = gf.LegendreFunction(lambda w: anp.sum(w**2, -1) + 0.01 * anp.sum(anp.abs(w - 0.3) ** 5, -1), 1)
    F = gf.realize(R, gf.domains.Box([-1.0], [1.0]), method="spectral", tol=1e-5)
    proof = F.prove()
    assert not proof and proof.eps == np.inf and proof.flow_gap(1.0, 1.0, 1.0) == np.inf
    with pytest.raises(gf.RealizationError, match="analytic"):
        proof.unwrap()


def test_the_gap_of_flows_is_below_its_bound():
    pytest.importorskip("flint")
    F = realized("quartic", "spectral", tol=1e-5)
    proof, loss, t = F.prove(), gf.LeastSquares([[1.0, 0.3], [0.2, 0.7]], [0.4, 0.2]), 0.5
    R, w0 = F.potential, np.array([0.1, 0.1])
    mirror = gf.mirror_flow(loss, R, w0, t, rtol=1e-11, atol=1e-13)
    flow = gf.gradient_flow(loss, F.parametrization, F(w0), t, rtol=1e-11, atol=1e-13)
    gap = np.linalg.norm(flow.w[-1] - mirror.w[-1])
    Z = np.array([[1.0, 0.3], [0.2, 0.7]])
    lipschitz = np.linalg.norm(Z, 2) ** 2
    bound = proof.flow_gap(t, lipschitz, lipschitz * 2**0.5 + np.linalg.norm(Z.T @ [0.4, 0.2]))
    assert 0 < gap <= bound < 1e-2
    with pytest.raises(gf.ArgumentError):
        proof.flow_gap(-1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    pytest.importorskip("flint")
    F = realized("log_sum_exp", "spectral", d=1, tol=1e-9)
    proof = F.prove()
    return F, proof, F.save(tmp_path_factory.mktemp("proofs") / "F")


def test_a_saved_proof_is_checked_again_in_a_fresh_process(saved):
    _, proof, file = saved
    command = [sys.executable, "-m", "geoflow", "check", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    said, note = run.stdout.strip().splitlines()
    assert run.returncode == 0 and said == str(proof) and "as it was saved" in note
    back = gf.load_realization(file)
    assert back.proof.eps == proof.eps and not back.proof.checked and "not checked again" in str(back.proof)
    assert back.prove().checked and str(back.proof) == str(check_proof(file)) == str(proof)
    again = back.save(file.with_name("again"))
    assert check_proof(again).eps == proof.eps


@pytest.mark.parametrize("method", ["twist", "exact"])
def test_twists_and_exact_realizations_are_checked_without_their_potential(method, tmp_path):
    pytest.importorskip("flint")
    name, lower = ("log_sum_exp", -0.5) if method == "twist" else ("fermi_dirac", 0.3)
    F = gf.realize(gf.catalog.potentials[name](2), ([lower] * 2, [lower + 0.4] * 2), method=method, tol=1e-6)
    proof = F.prove()
    found = check_proof(F.save(tmp_path / "F"))
    assert found and str(found) == str(proof)


def edited(file, name, value):
    other = file.with_name("edited.npz")
    write_arrays(other, {**read_arrays(file), name: value}, lambda path: None)
    return other


@pytest.mark.parametrize("name", ["eps", "least_eigenvalue", "largest_eigenvalue", "injectivity"])
def test_a_statement_that_is_not_proved_is_refused_though_its_checksum_is_right(saved, name):
    _, proof, file = saved
    told = getattr(proof, name)
    for factor in (0.5, 0.9, 1.1, 2.0):
        found = check_proof(edited(file, "proof_" + name, float(f"{told * factor:.3g}")))
        assert not found and "states" in found.argument
    for byte in range(8):
        raw = bytearray(np.float64(told).tobytes())
        raw[byte] ^= 1 << (byte % 8)
        assert not check_proof(edited(file, "proof_" + name, np.frombuffer(bytes(raw))[0]))


def test_another_map_another_box_or_another_function_is_refused(saved):
    *_, file = saved
    arrays = read_arrays(file)
    coefficients = arrays["coefficients"].copy()
    coefficients[0, 1] *= 1 + 1e-6
    assert not check_proof(edited(file, "coefficients", coefficients))
    record = str(arrays["proof_record"])
    assert "0.0" in record
    assert not check_proof(edited(file, "proof_record", record.replace("0.0", "0.001")))
    for name, value in (("upper", arrays["upper"] * 1.01), ("proof_rho", np.array(50.0))):
        assert not check_proof(edited(file, name, value))
    for name, value in (("proof_record", "{}"), ("proof_record", record[:-3]), ("proof_white", np.zeros(3, dtype=int))):
        with pytest.raises(gf.FileError):
            check_proof(edited(file, name, value))
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    other = file.with_name("damaged.npz")
    other.write_bytes(bytes(damaged))
    with pytest.raises(gf.FileError):
        check_proof(other)


def test_a_realization_without_a_proof_has_nothing_to_check(tmp_path):
    F = realized("log_sum_exp", "spectral", d=1, tol=1e-6)
    with pytest.raises(gf.FileError, match="without a proof"):
        check_proof(F.save(tmp_path / "F"))
    with pytest.raises(gf.ProofError, match="without its potential"):
        gf.load_realization(tmp_path / "F.npz").prove()


@pytest.mark.parametrize("seed", range(2))
def test_a_share_of_the_benchmark(seed):
    pytest.importorskip("flint")
    found = [benchmark.bump(seed, k) for k in range(1 + seed)]
    assert all(b.true > 5e-4 and b.proved >= b.true and not b.plain >= 1e-6 for b in found)
    right, _ = benchmark.decided(seed, 6)
    assert right == 6
    row = benchmark.sharpness("soft maximum", ("spectral", "twist")[seed], seed, 10)
    assert row.false == 0 and row.checked and row.proved <= 10 * row.sampled and row.points == 13
    assert row.true <= row.proved <= 3 * row.true
    assert all(d.accepted == 0 and d.files > 0 for d in benchmark.damages(seed, 0.01))


def test_what_has_no_proof_is_said(monkeypatch):
    exact = gf.realize(gf.catalog.potentials["negative_entropy"](2))
    with pytest.raises(gf.ProofError, match="box"):
        exact.prove()
    R = gf.catalog.potentials["burg"](1)
    F = gf.realize(R, gf.domains.Box([0.5], [1.0]), method="spectral", tol=1e-6)
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(gf.ProofError, match=r"pip install geoflow\[proof\]"):
        F.prove()
