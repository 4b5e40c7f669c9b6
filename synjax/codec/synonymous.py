"""The synonymous codec: x → ȳ_s → {x̂_j}, as pure functions of parameters (Eq. 9–14).

Shapes: B batch, M synset members, S spatial axes of x, S' of the latent, C channels of x,
K latent channels in L groups, E detail channels.

A latent is the dict {"y", "mask"}. Symbols are {"hard", "noisy", "within"}, relative to the centre
that the prior predicts: the integers that are coded; the point where the rate is evaluated, which
is the same in all but stage `fidelity`; and how far the value lies from its integer.
A completed latent is {"shared", "detail"}: what all
members of the synset have in common (y_s and its consequences) and what is each member's own (ŷ_ε).
The split keeps the cost of M members near that of one.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import detail, modulation, priors, rounding, start, transforms


@dataclasses.dataclass(frozen=True)
class Codec:
    """Architecture of a codec; all methods are pure.

    Attributes:
      rank: number of spatial axes of x, 2 for pictures and 0 for vectors.
      channels: C.
      groups: channels of each latent group; L = len(groups), K = sum(groups).
      grid: the λ's that one set of parameters serves.
      analysis_width, synthesis_widths, prior_width: channels of the networks; vectors use the
        first of `synthesis_widths`.
      stride: pixels per latent position along each spatial axis.
    """

    rank: int
    channels: int
    groups: tuple[int, ...]
    grid: modulation.Grid
    analysis_width: int = 48
    synthesis_widths: tuple[int, int, int] = (128, 64, 48)
    prior_width: int = 96
    stride: int = 16

    def __post_init__(self):
        """Raises ValueError on an architecture that cannot be built."""
        if self.rank not in (0, 2):
            raise ValueError(f"codec.rank must be 0 (vectors) or 2 (pictures), got {self.rank}")
        if not self.groups or min(self.groups) < 1:
            raise ValueError(f"codec.groups must be positive channel counts, got {self.groups}")
        if self.latents > self.coefficients:
            raise ValueError(
                f"codec.groups sum to {self.latents}, more than the {self.coefficients} "
                "coefficients of the KLT"
            )
        if self.rank and (self.stride < 8 or self.stride & (self.stride - 1)):
            raise ValueError(f"codec.stride must be a power of two from 8, got {self.stride}")

    @property
    def latents(self):
        """K."""
        return sum(self.groups)

    @property
    def levels(self):
        """L."""
        return len(self.groups)

    @property
    def coefficients(self):
        """E: coefficients of the full KLT, per latent position."""
        return self.channels * self.stride**self.rank

    @property
    def analysis_network(self):
        """g_a, a Flax module."""
        if self.rank == 0:
            return transforms.VectorAnalysis(self.latents, self.analysis_width)
        return transforms.ImageAnalysis(self.latents, self.analysis_width, self.stride)

    @property
    def synthesis_network(self):
        """g_s, a Flax module."""
        if self.rank == 0:
            return transforms.VectorSynthesis(self.synthesis_widths[0])
        return transforms.ImageSynthesis(self.synthesis_widths, self.channels, self.stride)

    @property
    def detail_network(self):
        """The statistics of ŷ_ε, a Flax module."""
        return detail.Detail(self.coefficients, self.rank)

    @property
    def amount_network(self):
        """How much of ŷ_ε reaches the synthesis, a Flax module."""
        return detail.Amount(self.coefficients, self.latents, self.levels, self.grid.perceptual)

    @property
    def activity_network(self):
        """Where in a picture the detail is strong, a Flax module."""
        return detail.Activity()

    def prior_network(self, k):
        """The density of group k (from 0) given the groups before it, a Flax module."""
        if k == 0:
            return priors.Factorised(self.groups[0])
        return priors.Conditional(self.groups[k], self.prior_width, self.rank)

    def init(self, key, x):
        """Parameters that start where classical transform coding ends: `start.params`.

        Returns:
          {"analysis", "prior", "detail", "synthesis"}: what a stage freezes is named by these keys.
        """
        return start.params(self, key, x)

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
          The latent {"y": [B, *S', K], "mask": [B, *S', 1]}.
        """
        y = self.analysis_network.apply({"params": params["analysis"]}, x, params["features"])
        return {"y": y, "mask": jnp.ones((*y.shape[:-1], 1)) if mask is None else mask}

    def _split(self, channels):
        return jnp.split(channels, np.cumsum(self.groups)[:-1], axis=-1)

    def _conditional(self, params, k, earlier):
        """Centre, log-scale and shape of group k ≥ 1 given ŷ of the groups before it."""
        return self.prior_network(k).apply(
            {"params": params["prior"][f"group_{k}"]}, earlier, params["features"]
        )

    def mixture(self, params, k, log_scale, axes):
        """The density of group k: (offsets, log_scales, logits), with `axes` axes and components.

        Args:
          params: bound parameters.
          k: the group, from 0.
          log_scale: of group k ≥ 1, [B, *S', groups[k]]; the first group needs none.
          axes: of the symbols.
        """
        own = params["prior"][f"group_{k}"]
        if k:
            return priors.conditional_mixture(log_scale, (own["log_ratio"], own["logit"]))
        factorised = self.prior_network(0).apply({"params": own}, params["features"])
        lead = (1,) * (axes - 1)
        return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape), factorised)

    def _mixtures(self, params, hard):
        """Per group the centre and the density (offsets, log_scales, logits) given hard symbols."""
        known = None
        centres, mixtures = [], []
        for k, symbols in enumerate(self._split(hard)):
            centre, log_scale = jnp.zeros_like(symbols), None
            if k:
                centre, log_scale, _ = self._conditional(params, k, known)
            centres.append(centre)
            mixtures.append(self.mixture(params, k, log_scale, hard.ndim))
            value = centre + symbols
            known = value if known is None else jnp.concatenate([known, value], -1)
        return centres, mixtures

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
          Symbols {"hard", "noisy", "within": [B, *S', K]}; within is how far the value lies from
          its hard symbol.
        """
        groups = self._split(latent["y"])
        hard, noisy, within = [], [], []
        known = None
        for k, y in enumerate(groups):
            centre = self._conditional(params, k, known)[0] if k else jnp.zeros_like(y)
            offset = y - centre
            if key is None:
                symbol = relaxed = rounding.hard(offset)
            else:
                symbol = rounding.straight_through(offset)
                relaxed = rounding.noisy(offset, jax.random.fold_in(key, k))
                symbol = relaxed if decode_relaxed else symbol
            symbol, relaxed = symbol * latent["mask"], relaxed * latent["mask"]
            hard.append(symbol)
            noisy.append(relaxed)
            within.append((offset - symbol) * latent["mask"])
            value = symbol + centre
            known = value if known is None else jnp.concatenate([known, value], -1)
        return {
            "hard": jnp.concatenate(hard, -1),
            "noisy": jnp.concatenate(noisy, -1),
            "within": jnp.concatenate(within, -1),
            "mask": latent["mask"],
        }

    def group_bits(self, params, symbols):
        """−log₂ p of each group given the groups before it: bits [B, L]."""
        _, mixtures = self._mixtures(params, symbols["hard"])
        total = []
        for symbol, mixture in zip(self._split(symbols["noisy"]), mixtures, strict=True):
            total.append(masked_bits(symbol, mixture, symbols["mask"]))
        return jnp.stack(total, -1)

    def rate(self, params, symbols, level):
        """E[−log₂ p(ȳ_s)], the last term of Eq. 62, at one level.

        Args:
          params: bound parameters.
          symbols: from `quantise`.
          level: scalar 1…L, may be traced: all groups stay, the unsent are masked.

        Returns:
          Bits [B].
        """
        sent = (jnp.arange(self.levels) < level).astype(jnp.float32)
        return self.group_bits(params, symbols) @ sent

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
          in their bins the sent values may have lain.
        """
        if uniforms is None:
            return self.invent(params, self._expected(params, symbols["hard"], level), level)
        choices, noise = (
            uniforms[..., : self.latents],
            detail.quantile(uniforms[..., self.latents :]),
        )
        values = self._expected(params, symbols["hard"], level)
        apart = self._apart(params, symbols["hard"], level, values, choices)
        within = None
        if self.rank == 0:
            within = self.within_bins(params, symbols["hard"], level, choices)
        return self.invent(params, values, level, apart, noise, within)

    def _expected(self, params, hard, level):
        """Values [B, *S', K] of the sent groups, and the conditional means of the others."""
        values = None
        for k, symbols in enumerate(self._split(hard)):
            if k == 0:
                values = symbols
                continue
            centre, _, _ = self._conditional(params, k, values)
            known = centre + jnp.where(k < level, symbols, 0.0)
            values = jnp.concatenate([values, known], -1)
        return values

    def _apart(self, params, hard, level, values, uniforms):
        """Sampled values less `values`, [B, M, *S', K]: zero in sent groups; without gradient."""
        members = uniforms.shape[1]
        values = jnp.repeat(jax.lax.stop_gradient(values), members, 0)  # [B·M, *S', K]
        path = None
        drawn = self._split(uniforms.reshape(values.shape))
        for k, known in enumerate(self._split(values)):
            if k == 0:
                path = known
                continue
            centre, log_scale, shape = self._conditional(params, k, path)
            own = centre + priors.sample(drawn[k], log_scale, shape)
            path = jnp.concatenate([path, jnp.where(k < level, known, own)], -1)
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
            own = jnp.zeros((len(shared), 1, *shared.shape[1:-1], self.coefficients))
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
        _, mixtures = self._mixtures(params, hard)
        drawn = self._split(uniforms)
        offsets = []
        for k, (u, symbols) in enumerate(zip(drawn, self._split(hard), strict=True)):
            mixture = jax.tree.map(lambda leaf: leaf[:, None], mixtures[k])
            own = priors.within_bin(u, symbols[:, None], *mixture)
            offsets.append(jnp.where(k < level, own, 0.0))
        offsets = jnp.concatenate(offsets, -1)
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
        error = x - mean_member
        error = transforms.space_to_depth(error, self.stride) if self.rank else error
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
        if self.rank:
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
          [B, M, *S, C], not clipped.
        """
        shared, own = latent["shared"], latent["detail"]
        synthesis = {"params": params["synthesis"]}
        if self.rank == 0:
            return self.synthesis_network.apply(synthesis, shared, own, params["features"])
        mean_member, texture = self.synthesis_network.apply(
            synthesis, shared, own, params["features"]
        )
        log_gain = self._activity_of(params, mean_member, shared)
        return mean_member[:, None] + texture * detail.upsampled(jnp.exp(log_gain))[:, None]


def masked_bits(symbols, mixture, mask):
    """−log₂ p of symbols [B, *S', C] where the mask [B, *S', 1] is one: bits [B]."""
    information = priors.bits(symbols, *mixture) * mask
    return information.sum(tuple(range(1, information.ndim)))
