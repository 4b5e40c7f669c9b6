"""Eq. 62: L = λ_d·E_j Δ(x, x̂_j) + λ_p·(stand-in for D_KL[p_X ‖ p_X̂]) + E[−log₂ p(ȳ_s)].

One member without detail makes it the rate–distortion–perception objective (Eq. 66), and λ_p = 0
beside that the rate–distortion one (Eq. 68); neither is a special case of the code.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

TERMS = ("distortion", "perception", "rate")


@dataclasses.dataclass(frozen=True)
class Objective:
    """Eq. 62 for one batch at one (λ_d, λ_p, level).

    Attributes:
      codec: `codec.synonymous.Codec`.
      distortion: Δ, (x, x̂) → [batch].
      perception: a module of `perception/`; its penalty stands for the divergence.
      members: M ≥ 1 sampled members, or 0 for the single deterministic reconstruction, in which
        unsent groups take their conditional mean and there is no detail.
      relaxation: one of `codec.rounding.RELAXATIONS`.
      level_lambda_d, level_lambda_p: per level, by what λ_d and λ_p are multiplied in the loss;
        what the codec is told of them stays.
      frozen: keys of params that receive no gradient.
      rounded_rate: whether the rate of rounded symbols is measured too, which a target holds: with
        noise a rate of a few bits is twice that.
    """

    codec: Any
    distortion: Callable
    perception: Any
    members: int
    relaxation: str
    level_lambda_d: tuple[float, ...]
    level_lambda_p: tuple[float, ...]
    frozen: tuple[str, ...] = ()
    rounded_rate: bool = False

    def reconstruct(self, params, x, level, key):
        """Codes and decodes a batch.

        Args:
          params: bound parameters.
          x: [B, *S, C].
          level: 1…L, may be traced.
          key: JAX random key.

        Returns:
          The synset [B, max(M, 1), *S, C], the symbols and the shared part of the latent.
        """
        noise_key, detail_key = jax.random.split(key)
        latent = self.codec.analyse(params, x)
        if self.relaxation == "none":
            noise_key = None
        relaxed = self.relaxation == "all"
        symbols = self.codec.quantise(params, latent, noise_key, decode_relaxed=relaxed)
        uniforms = None
        if self.members:
            positions = latent["y"].shape[1:-1]
            shape = (len(x), self.members, *positions, self.codec.uniform_channels())
            uniforms = jax.random.uniform(detail_key, shape, minval=1e-7)
        completed = self.codec.complete(params, symbols, level, uniforms)
        return self.codec.synthesise(params, completed), symbols, completed["shared"]

    def __call__(
        self, params, critic, x, real, lambda_d, lambda_p, level, key, weights=(1.0, 1.0, 1.0)
    ):
        """The loss in bits per source element.

        Args:
          params: unbound parameters.
          critic: state of the perception module.
          x: [B, *S, C], the encoded batch.
          real: [N, *S, C], the batch that the perception module compares with.
          lambda_d, lambda_p: weights, may be traced.
          level: 1…L, may be traced.
          key: JAX random key.
          weights: of `TERMS`, beside λ_d, λ_p and 1: multipliers of targets (Eq. 61), a warm-up.

        Returns:
          The scalar to minimise and a dict: scalars `loss` (Eq. 62), `rate` (bits/dim),
          `distortion`, `perception`, `rate_rounded` (where asked for), `detail` (where it is
          fitted), and under `fake` and `context` what the critic's update needs.
        """
        fixed = {k: jax.lax.stop_gradient(params[k]) for k in self.frozen}
        params = self.codec.bind({**params, **fixed}, lambda_d, lambda_p)
        code_key, penalty_key = jax.random.split(key)
        synset, symbols, shared = self.reconstruct(params, x, level, code_key)
        rate = self.codec.rate(symbols, level).mean() / x[0].size
        members = synset.shape[1]
        repeated = jnp.repeat(x, members, 0)  # [B·M, *S, C]
        distortion = self.distortion(repeated, synset.reshape(repeated.shape)).mean()
        context = {"source": x, "symbols": symbols["hard"], "level": level}
        penalty = self.perception.penalty(critic, real, synset, context, penalty_key)
        weight_d = weights[0] * lambda_d * jnp.asarray(self.level_lambda_d)[level - 1]
        weight_p = weights[1] * lambda_p * jnp.asarray(self.level_lambda_p)[level - 1]
        loss = weight_d * distortion + weight_p * penalty + weights[2] * rate
        metrics = {"loss": loss, "rate": rate, "distortion": distortion, "perception": penalty}
        if self.rounded_rate:
            rounded = self.codec.quantise(params, self.codec.analyse(params, x))
            metrics["rate_rounded"] = self.codec.rate(rounded, level).mean() / x[0].size
        if not self.members and self.codec.detail_width and "detail" not in self.frozen:
            # Beside Eq. 62 and touching no other parameter: the density from which ŷ_ε will be
            # drawn is fitted to the detail itself.
            metrics["detail"] = self.codec.detail_bits(
                params, symbols, x, synset[:, 0], shared, level
            )
            loss = loss + metrics["detail"]
        return loss, metrics | {"fake": synset, "context": context}
