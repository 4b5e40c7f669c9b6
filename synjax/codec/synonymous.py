"""The synonymous codec: x → ȳ_s → {x̂_j}, as pure functions of parameters (Eq. 9–14).

Shapes: B batch, M synset members, S spatial axes of x, S' of the latent, C channels of x,
K latent channels in L groups, E detail channels.

A latent is the dict {"y", "mask"}. Symbols are {"hard", "noisy", "within", "bits", "value"}. Of
these the first three are relative to the centre that the prior predicts: the integers that are
coded; the point where the rate is evaluated, which is the same in all but stage `fidelity`; and how
far the value lies from its integer. Bits are the rate there, and values the integers on their
centres, in steps: the prior's networks have been run for both. They run again only for what is
expected of groups after the first, which depends on the level.
A completed latent is {"shared", "detail"}: what all
members of the synset have in common (y_s and its consequences) and what is each member's own (ŷ_ε).
The split keeps the cost of M members near that of one.
"""

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import (
    architecture,
    chain,
    clipping,
    detail,
    modulation,
    priors,
    rounding,
    start,
    transforms,
)


class Codec(architecture.Architecture):
    """A codec of an architecture; all methods are pure."""

    def init(self, key, x):
        """Parameters that start where classical transform coding ends: `start.params`.

        Returns:
          {"analysis", "prior", "detail", "synthesis"}: what a stage freezes is named by these keys.
        """
        return start.params(self, key, start.statistics_of(self, x))

    def bind(self, params, lambda_d, lambda_p):
        """Parameters at one (λ_d, λ_p); every function below needs bound ones.

        Args:
          params: from `init`.
          lambda_d, lambda_p: scalars, may be traced.

        Returns:
          params with the λ features beside the four keys.
        """
        return {**params, "features": self.grid.features(lambda_d, lambda_p)}

    def analyse(self, params, x, mask=None):
        """g_a (Eq. 11).

        Args:
          params: bound parameters.
          x: [B, *S, C]; S multiples of the stride.
          mask: [B, *S', 1] of zeros and ones, or None for all ones: latent positions that exist.
            The rest of a padded batch costs no bits and is seen alike on both sides.

        Returns:
          The latent {"y": [B, *S', K], "mask": [B, *S', 1]}, and where the codec has a hyper-latent
          "z": [B, *S'/COARSE, hyper], S' being multiples of `chain.COARSE` then.
        """
        y = self.analysis_network.apply({"params": params["analysis"]}, x, params["features"])
        latent = {"y": y, "mask": jnp.ones((*y.shape[:-1], 1)) if mask is None else mask}
        if self.hyper:
            own = {"params": params["analysis"]["hyper"]}
            latent["z"] = self.hyper_network.apply(own, y * latent["mask"], params["features"])
        return latent

    def _split(self, channels):
        return jnp.split(channels, np.cumsum(self.groups)[:-1], axis=-1)

    def _own(self, part, latents, hyper=None):
        """The channels of a part."""
        return hyper if part.is_hyper else self._split(latents)[part.group]

    def quantise(self, params, latent, key=None, decode_relaxed=False):
        """ȳ_s with rounding, y̆_s with noise; rounding is centred on the predicted value.

        The centre depends on the parameters, so that they are an argument here.

        Args:
          params: bound parameters.
          latent: from `analyse`.
          key: None rounds; with a key, "hard" rounds straight through and "noisy" adds uniform
            noise (rate by noise, everything else by rounding: Minnen & Singh 2020,
            arXiv:2007.08739).
          decode_relaxed: with a key, "hard" is the noisy value too (Ballé et al. 2017,
            arXiv:1611.01704). An encoder that sees rounding can make the noisy rate lie below the
            rounded one; from noise alone it cannot tell them apart.

        Returns:
          Symbols {"hard", "noisy", "within", "bits", "value": [B, *S', K], "mask"}; within is how
          far the value lies from its hard symbol. With a hyper-latent also "hyper", a dict of the
          same five.
        """
        mask = latent["mask"]
        bits_of = jax.checkpoint(priors.bits) if self.rematerialise else priors.bits

        def choose(part, density):
            offset = self._own(part, latent["y"], latent.get("z")) - density.centre
            if key is None:
                symbol = relaxed = rounding.hard(offset)
            else:
                number = self.levels if part.is_hyper else part.group
                symbol = rounding.straight_through(offset)
                relaxed = rounding.noisy(offset, jax.random.fold_in(key, number))
                symbol = relaxed if decode_relaxed else symbol
            exists = self._mask_of(part, mask)
            symbol, relaxed = symbol * exists, relaxed * exists
            within = (offset - symbol) * exists
            bits = bits_of(relaxed, *density.mixture) * exists
            value = symbol + density.centre
            found = {"hard": symbol, "noisy": relaxed, "within": within}
            return found | {"bits": bits, "value": value}

        chosen = chain.follow(self, params, latent["y"].shape[1:-1], choose)
        return chosen | {"mask": mask}

    def _mask_of(self, part, mask):
        return mask[:, :: chain.COARSE, :: chain.COARSE] if part.is_hyper else mask

    def group_bits(self, symbols):
        """−log₂ p of each group given the groups before it, of `quantise`: bits [B, L]."""
        total = jnp.stack([_summed(bits) for bits in self._split(symbols["bits"])], -1)  # [B, L]
        if self.hyper:
            total = total.at[:, 0].add(_summed(symbols[chain.HYPER]["bits"]))
        return total

    def rate(self, symbols, level):
        """E[−log₂ p(ȳ_s)], the last term of Eq. 62, at one level.

        Args:
          symbols: from `quantise`.
          level: scalar 1…L, may be traced: all groups stay, the unsent are masked.

        Returns:
          Bits [B].
        """
        sent = (jnp.arange(self.levels) < level).astype(jnp.float32)
        return self.group_bits(symbols) @ sent

    def uniform_channels(self):
        """K + E: uniforms that one latent position of one member consumes."""
        return self.latents + self.coefficients

    def complete(self, params, symbols, level, uniforms=None):
        """Adds to what was sent what the decoder invents (Eq. 14).

        Args:
          params: bound parameters.
          symbols: from `quantise`.
          level: scalar 1…L, may be traced.
          uniforms: [B, M, *S', K + E] in (0, 1); None for a decoder without randomness, in which
            unsent groups take their conditional mean, M is one and there is no detail.

        Returns:
          {"shared": [B, *S', K + 1], "detail": [B, M, *S', E]}. Shared holds the sent groups and
          the conditional mean of the rest, in steps, and the level as a share of L, from which the
          synthesis knows which is which. Detail is in coefficients, and of vectors includes where
          in their bins the sent values may have lain; without randomness it is None but of vectors.
        """
        values = self._expected(params, symbols, level)
        if uniforms is None:
            return self.invent(params, values, level)
        choices, noise = jnp.split(uniforms, [self.latents], -1)
        apart = self._apart(params, symbols, level, values, choices)
        within = None
        if self.rank == 0:
            within = self.within_bins(params, symbols["hard"], level, choices)
        return self.invent(params, values, level, apart, detail.quantile(noise), within)

    def _expected(self, params, symbols, level):
        """Values [B, *S', K] of the sent groups, and the conditional means of the others."""

        def choose(part, density):
            if part.group == 0:  # sent at every level: its density is not computed again
                hyper = symbols.get(chain.HYPER, {}).get("value")
                return {"value": self._own(part, symbols["value"], hyper)}
            hard = jnp.where(part.group < level, self._own(part, symbols["hard"]), 0.0)
            return {"value": density.centre + hard}

        return chain.follow(self, params, symbols["hard"].shape[1:-1], choose)["value"]

    def _apart(self, params, symbols, level, values, uniforms):
        """Sampled values less `values`, [B, M, *S', K]: zero in sent groups; without gradient."""
        members = uniforms.shape[1]
        hyper = symbols.get(chain.HYPER, {}).get("hard")
        # [B·M, *S', K]
        values, hyper = jax.tree.map(lambda array: jnp.repeat(array, members, 0), (values, hyper))
        uniforms = uniforms.reshape(values.shape)

        def choose(part, density):
            if part.group == 0:  # sent at every level
                return {"value": self._own(part, values, hyper)}
            drawn = self._own(part, uniforms)
            own = density.centre + priors.sample(drawn, density.log_scale, density.shape)
            return {"value": jnp.where(part.group < level, self._own(part, values), own)}

        path = chain.follow(self, params, values.shape[1:-1], choose)["value"]
        apart = jax.lax.stop_gradient(path - values)
        return apart.reshape(-1, members, *apart.shape[1:])

    def invent(self, params, values, level, apart=None, noise=None, within=None):
        """The completed latent of given draws.

        Args:
          params: bound parameters.
          values: [B, *S', K] in steps, of what all members share.
          level: scalar 1…L, may be traced.
          apart: [B, M, *S', K] in steps, how far the sampled groups of a member lie from `values`.
          noise: [B, M, *S', E], standard normal deviates; None for a decoder without randomness.
          within: of vectors, from `within_bins`.

        Returns:
          As `complete`.
        """
        share = jnp.full((*values.shape[:-1], 1), 1.0) * (level / self.levels)
        shared = jnp.concatenate([values, share], -1)
        if noise is None:
            own = None if self.rank else jnp.zeros((len(shared), 1, self.coefficients))
            return {"shared": shared, "detail": own}
        mean, log_sigma = self._detail_of(params, shared)
        amounts = {"params": params["synthesis"]["amount"]}
        amplitude, weight = self.amount_network.apply(amounts, level, params["features"])
        own = mean[:, None] + jnp.exp(log_sigma)[:, None] * noise
        if within is not None:
            own = own + within
        own = own * modulation.channelwise(amplitude, own)
        sampled = apart * modulation.channelwise(weight * self._step(params), apart)
        return {"shared": shared, "detail": own + self._pad_latents(sampled)}

    def within_bins(self, params, hard, level, uniforms):
        """Where in their bins the sent values of vectors may have lain.

        Args:
          params: bound parameters.
          hard: symbols [B, K].
          level: scalar 1…L, may be traced.
          uniforms: [B, M, K] in (0, 1).

        Returns:
          [B, M, E], in coefficients.
        """

        def choose(part, density):
            symbols, own = self._own(part, hard), self._own(part, uniforms)
            mixture = jax.tree.map(lambda leaf: leaf[:, None], density.mixture)
            offset = priors.within_bin(own, symbols[:, None], *mixture)
            offset = jnp.where(part.group < level, offset, 0.0)
            return {"value": density.centre + symbols, "offset": offset}

        offsets = chain.follow(self, params, (), choose)["offset"]
        return self._pad_latents(offsets * modulation.channelwise(self._step(params), offsets))

    def _detail_of(self, params, shared):
        statistics = {"params": params["detail"]["statistics"]}
        return self.detail_network.apply(statistics, shared, params["features"])

    def _pad_latents(self, coefficients):
        """[..., K] → [..., E]: the coefficients that are never coded are zero."""
        missing = self.coefficients - self.latents
        return jnp.pad(coefficients, [(0, 0)] * (coefficients.ndim - 1) + [(0, missing)])

    def detail_bits(self, params, symbols, x, mean_member, shared, level):
        """−log₂ p(y_ε | ȳ_s) of the detail that the encoder sees: what stage `fidelity` fits.

        The detail is the error of the reconstruction, in KLT coefficients, less the unsent
        symbols and, of vectors, the place of the sent ones in their bins: the prior describes
        both. Only params["detail"] receives a gradient.

        Args:
          params: bound parameters.
          symbols: from `quantise`.
          x: [B, *S, C].
          mean_member: [B, *S, C], the reconstruction without randomness at this level.
          shared: [B, *S', K + 1] from `complete` at this level.
          level: scalar 1…L, may be traced.

        Returns:
          Bits per source element, up to a constant; scalar.
        """
        error = transforms.to_blocks(x - mean_member, self)
        error = error @ params["synthesis"]["klt"].T  # [B, *S', E]
        unsent = [
            jnp.where(k < level, 0.0, group) for k, group in enumerate(self._split(symbols["hard"]))
        ]
        unsent = jnp.concatenate(unsent, -1)
        if self.rank == 0:  # where in its bin a sent value lies, the prior describes as well
            within = self._split(symbols["within"])
            within = [jnp.where(k < level, own, 0.0) for k, own in enumerate(within)]
            unsent = unsent + jnp.concatenate(within, -1)
        unsent = unsent * modulation.channelwise(self._step(params), unsent)
        error, shared = jax.lax.stop_gradient((error - self._pad_latents(unsent), shared))
        mean, log_sigma = self._detail_of(params, shared)
        bits = detail.gaussian_bits((error - mean) ** 2, log_sigma).mean()
        if self.rank == 2:
            log_gain = self._activity_of(params, mean_member, shared)
            blocks = (jnp.exp(2 * log_sigma), error - mean)
            squared, variance = self._energies(params, *jax.lax.stop_gradient(blocks))
            relative = squared / (variance + 1e-7)
            bits = bits + detail.gaussian_bits(relative, log_gain).mean()
        return bits

    def _energies(self, params, variances, error):
        """Mean square of the error, and what the statistics expect of it, in every activity cell.

        Args:
          params: bound parameters.
          variances, error: [B, *S', E], of and in coefficients.

        Returns:
          Two arrays [B, H / CELL, W / CELL, 1].
        """
        basis = jax.lax.stop_gradient(params["synthesis"]["klt"])
        across = self.stride // detail.CELL

        def cells(blocks):
            """Means over the cells of blocks [..., stride²·C]: [..., across²]."""
            shape = (*blocks.shape[:-1], across, detail.CELL, across, detail.CELL * self.channels)
            return blocks.reshape(shape).mean((-3, -1)).reshape(*blocks.shape[:-1], across**2)

        squared, variance = cells((error @ basis) ** 2), variances @ cells(basis**2)
        return tuple(transforms.depth_to_space(means, across) for means in (squared, variance))

    def _activity_of(self, params, mean_member, shared):
        """Log-gain [B, H / CELL, W / CELL, 1] of the detail; no gradient to what it looks at."""
        mean_member, share = jax.lax.stop_gradient((mean_member, shared[..., :1, :1, -1:]))
        activity = {"params": params["detail"]["activity"]}
        return self.activity_network.apply(activity, mean_member, share)

    def _step(self, params):
        """Quantisation steps [K] as the synthesis knows them; the detail does not train them."""
        return jax.lax.stop_gradient(jnp.exp(params["features"] @ params["synthesis"]["log_step"]))

    def synthesise(self, params, latent):
        """g_s: the reconstructed synset X̂ (Eq. 14).

        Args:
          params: bound parameters.
          latent: from `complete`.

        Returns:
          [B, M, *S, C], not clipped unless `clipped`.
        """
        synset = self._synthesised(params, latent)
        return clipping.clip(synset) if self.clipped else synset

    def _synthesised(self, params, latent):
        shared, own = latent["shared"], latent["detail"]
        synthesis = {"params": params["synthesis"]}
        if self.rank == 0:
            return self.synthesis_network.apply(synthesis, shared, own, params["features"])
        mean_member, texture = self.synthesis_network.apply(
            synthesis, shared, own, params["features"]
        )
        if texture is None:
            return mean_member[:, None]
        if self.rank == 1:
            return mean_member[:, None] + texture
        log_gain = self._activity_of(params, mean_member, shared)
        return mean_member[:, None] + texture * detail.upsampled(jnp.exp(log_gain))[:, None]


def _summed(bits):
    """Over all but the batch axis."""
    return bits.sum(tuple(range(1, bits.ndim)))
