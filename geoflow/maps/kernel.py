"""The unchecked layer of a parametrization: G and its derivatives at flat points, for integrators and solvers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, Bilinear, Index, Map
from geoflow.maps.blocks import Blocks, solved_blocks, weighted_gram
from geoflow.numerics import autodiff
from geoflow.numerics.batches import in_slices


class MapKernel(Portable, ABC):
    """G on flat points, shape=[N, D], in and out: nothing is checked and nothing is raised; NaN where G is not defined.

    A special map is a subclass of this, wrapped by `Parametrization.from_kernel`: it gives `value`, `gradients` and
    `derivative_of_gradients`, and what of the rest has a better form; `dim` is D and `codomain_dim` d.
    """

    dim: int
    codomain_dim: int
    #: what differentiates it, and why it is not the engine that was asked for
    engine: str = "autograd"
    engine_note: str = ""
    #: whether gradients are the Euclidean derivatives of G
    flat: bool = False

    @property
    def extent(self) -> float:
        """The size of M, where values near x = 0 are rounded as those far from it are; 0 where M has none."""
        return 0.0

    @abstractmethod
    def value(self, x: Array) -> Array:
        """G(x), shape=[N, d]."""

    @abstractmethod
    def gradients(self, x: Array) -> Array:
        """Riemannian gradients grad G_i, shape=[N, d, D]."""

    @abstractmethod
    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        """D(grad G_i)(x).v_m for several tangent directions: shape=[N, m, D] to shape=[N, m, d, D].

        On a manifold it is the derivative of the ambient components of the fields along M, whatever they are off M.
        """

    def jacobian(self, x: Array) -> Array:
        """Euclidean derivative dG, whose rows are the gradients where M is flat; shape=[N, d, D]."""
        return self.gradients(x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        """The gradients and their inner products: shape=[N, d, D] and shape=[N, d, d]."""
        rows = self.gradients(x)
        return rows, np.einsum("...iD,...jD->...ij", rows, rows)

    def cometric(self, x: Array) -> Array:
        """C_ij = g(grad G_i, grad G_j), shape=[N, d, d]."""
        return self.gradients_and_cometric(x)[1]

    def derivative_of_cometric(self, x: Array, directions: Array) -> Array:
        """DC(x).v_m for several tangent directions: shape=[N, m, D] to shape=[N, m, d, d]."""
        half = np.einsum("...kaD,...bD->...kab", self.derivative_of_gradients(x, directions), self.gradients(x))
        return half + np.swapaxes(half, -1, -2)

    def linearized(self, x: Array) -> tuple[Array, Map]:
        """G(x), shape=[N, d], and the pullback at x, mu -> sum_i mu_i grad G_i, shape=[N, d] to shape=[N, D]."""
        return self.value(x), lambda mu: self.pullback(x, mu)

    def pullback(self, x: Array, mu: Array) -> Array:
        """sum_i mu_i grad G_i, the velocity that a covector gives a point: shape=[N, d] to shape=[N, D]."""
        return np.einsum("...iD,...i->...D", np.asarray(self.gradients(x), dtype=float), mu)

    def pushforward(self, x: Array, v: Array) -> Array:
        """dG(x).v of tangent vectors, shape=[N, D] to shape=[N, d]."""
        return np.einsum("...iD,...D->...i", np.asarray(self.jacobian(x), dtype=float), v)

    def derivative_of_pullback(self, x: Array, mu: Array, v: Array) -> Array:
        """D(sum_i mu_i grad G_i)(x).v, mu held constant: shape=[N, d] and tangent shape=[N, D] to shape=[N, D]."""
        return np.einsum("...iD,...i->...D", self.derivative_of_gradients(x, v[..., None, :])[..., 0, :, :], mu)

    def bracket_terms(self, x: Array, u: Array, v: Array) -> tuple[Array, Array]:
        """DY.X and DX.Y for X = sum_i u_i grad G_i and Y = sum_i v_i grad G_i, whose difference is [X, Y].

        u and v, shape=[N, d], are held constant; shape=[N, D] each. Four products with dG, whatever d is.
        """
        N, both = len(x), np.concatenate([x, x])
        fields = self.pullback(both, np.concatenate([u, v]))
        terms = self.derivative_of_pullback(both, np.concatenate([v, u]), fields)
        return terms[:N], terms[N:]

    def bracket(self, x: Array, u: Array, v: Array) -> Array:
        """[sum_i u_i grad G_i, sum_j v_j grad G_j] for constant u and v, shape=[N, d] to shape=[N, D]."""
        along, back = self.bracket_terms(x, u, v)
        return along - back

    def fresh(self) -> None:
        """Forget what was read of a function that has changed since, such as one of an array that was written to."""

    @cached_property
    def blocks(self) -> Blocks:
        """Outputs that share no input; one block where nothing is known."""
        return Blocks.one(self.dim, self.codomain_dim)

    @property
    def kinds(self) -> Index | None:
        """Labels of the outputs: with one label they are one function of their own inputs; None if not known."""
        return None

    def some_outputs(self, outputs: Index) -> tuple[MapKernel, Index] | None:
        """The map of some outputs, and the inputs that they depend on, in increasing order; None if not known."""
        return None

    @property
    def grows_alone(self) -> bool:
        """Whether inputs grow without turning: gradients mix no outputs, and M is R^D."""
        return self.flat and self.blocks.width == 1

    def block_rows(self, x: Array) -> tuple[Array, Array]:
        """The k-th gradients of all blocks side by side, shape=[N, width, D], and C, shape=[N, count, width, width].

        The gradients and the cometric themselves where there is one block; elsewhere `width` pullbacks. The diagonal is
        1 where a block has fewer outputs.
        """
        blocks = self.blocks
        if blocks.single:
            rows, C = self.gradients_and_cometric(x)
            return rows, C[:, None]
        pull, batch = self.linearized(x)[1], (len(x), self.codomain_dim)
        rows = np.stack([pull(np.broadcast_to(unit, batch)) for unit in blocks.units()], axis=1)
        C = blocks.products(rows, rows)
        if blocks.width > 1:
            block, k = np.nonzero(blocks.padding)
            C[:, block, k, k] = 1.0
        return rows, C

    def horizontal_lift(self, x: Array, dw: Array) -> tuple[Array, Array]:
        """dx = sum_i dmu_i grad G_i and dmu = C^{-1} dw, so that dG.dx = dw; NaN where dG is singular.

        Forms and solves C block by block: d^2 D and d^3 operations a point for one block, D for blocks of one output.
        """
        blocks = self.blocks
        rows, gram = self.block_rows(x)
        dw = np.broadcast_to(dw, (len(x), self.codomain_dim))
        if blocks.single:
            dmu = solved_blocks(gram, dw[:, None])[:, 0]
            return np.einsum("niD,ni->nD", rows, dmu), dmu
        parts = solved_blocks(gram, blocks.split(dw))
        parts[np.isnan(parts).any(axis=(1, 2))] = np.nan  # the whole point is singular
        dx = sum(rows[:, k] * blocks.at_inputs(parts[..., k]) for k in range(blocks.width))
        return np.asarray(dx), blocks.join(parts)

    def cometric_product(self, x: Array, mu: Array) -> Array:
        """C(x) mu, the velocity of w that a covector gives, by a pullback and a pushforward; shape=[N, d]."""
        return self.pushforward(x, self.pullback(x, mu))

    def gram(self, x: Array, A: Array) -> Array:
        """A C(x) A^T at one point, shape=[1, D], for rows of covectors, shape=[n, d]: by blocks, or by n pullbacks."""
        blocks = self.blocks
        if not blocks.single:
            C = self.block_rows(x)[1][0]
            if blocks.width == 1:
                return weighted_gram(A, C[blocks.of_output, 0, 0])
            return blocks.join(np.einsum("bkl,nbl->nbk", C, blocks.split(A))) @ A.T
        if len(A) >= self.codomain_dim:
            return A @ self.cometric(x)[0] @ A.T

        def pulled(rows: Array) -> tuple[Array, ...]:
            return (self.pullback(np.repeat(x, len(rows), axis=0), rows),)

        P = in_slices(pulled, self.dim, A)[0]
        return P @ P.T if self.flat else self.pushforward(np.repeat(x, len(A), axis=0), P) @ A.T

    def field(self, i: int) -> tuple[Map, Bilinear | None]:
        """grad G_i as a function of flat points, and its derivative (x, v) -> D(grad G_i)(x).v where that is closed."""

        def gradient(x: Array) -> Array:
            return self.gradients(x)[..., i, :]

        def derivative(x: Array, v: Array) -> Array:
            if autodiff.is_traced(x) or autodiff.is_traced(v):  # a bracket of brackets
                return autodiff.jvp(gradient, x, v)[1]
            x, v = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(v, dtype=float))
            return self.derivative_of_gradients(x, v[..., None, :])[..., 0, i, :]

        return gradient, derivative
