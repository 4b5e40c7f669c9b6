"""Parameters before training: everything starts where classical transform coding ends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import chain, detail, klt, transforms


@functools.partial(jax.jit, static_argnums=0)
def _drawn(network, key, *arguments):
    """Parameters of a Flax module; compiled once for all keys and λ's."""
    return network.init(key, *arguments).get("params", {})


def statistics_of(codec, x):
    """The KLT of a sample: what of it `params` starts from, whatever the λ's and the key.

    Args:
      codec: `synonymous.Codec`.
      x: sample of the source [B, *S, C], enough to estimate the KLT from: several times
        `codec.coefficients` patches.

    Returns:
      As `klt.transform`.

    Raises:
      ValueError: x is not finite.
    """
    with jax.ensure_compile_time_eval():  # so that shapes can be asked for with `jax.eval_shape`
        patches = transforms.to_blocks(x, codec)
    return klt.transform(np.asarray(patches).reshape(-1, codec.coefficients))


@functools.cache
def _shapes(codec):
    size = codec.coefficients
    sample = np.zeros(size), np.eye(size), np.ones(size)
    return jax.eval_shape(lambda key: params(codec, key, sample), jax.random.key(0))


def blank(codec):
    """Zeros of the shapes of `params`, numpy arrays: reads no data and compiles nothing."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), _shapes(codec))


def serving(codec, encoder):
    """Parameters for every λ_p of a codec, from those that were trained at λ_p = 0 alone.

    Every λ_p starts where λ_p = 0 is: the features that it adds have rows of zeros. Of the detail
    that it then draws there is `detail.START` of the ideal.

    Args:
      codec: `synonymous.Codec`.
      encoder: parameters of the same codec on a grid of λ_p = 0 alone.

    Returns:
      As `params`, numpy arrays.
    """
    own = blank(codec)
    synthesis = encoder["synthesis"] | {"amount": own["synthesis"]["amount"]}

    def widened(leaf, zeros):
        zeros[tuple(map(slice, leaf.shape))] = leaf
        return zeros

    whole = jax.tree.map(widened, encoder | {"synthesis": synthesis}, own)
    return detail.starting(whole, detail.START)


def params(codec, key, sample):
    """Parameters of a codec whose linear path is the KLT of a sample.

    Args:
      codec: `synonymous.Codec`.
      key: JAX random key.
      sample: from `statistics_of`.

    Returns:
      {"analysis", "prior", "detail", "synthesis"}, float32.
    """
    mean, basis, variances = sample
    deviation = np.sqrt(variances + 1e-8)
    step = klt.step_size(codec.grid.lambda_d)[:, None]  # [D, 1]
    in_steps = deviation[None, : codec.latents] / step  # [D, K]
    rows = codec.grid.rows

    keys = iter(jax.random.split(key, 5 + len(chain.parts(codec)) + bool(codec.hyper)))
    features = jnp.ones(codec.grid.size)
    latent_sizes = (1,) * codec.rank
    example = jnp.zeros((1, *(codec.stride for _ in latent_sizes), codec.channels))
    shared = jnp.zeros((1, *latent_sizes, codec.latents + 1))
    own = jnp.zeros((1, 1, *latent_sizes, codec.coefficients))

    def drawn(network, *arguments):
        return _drawn(network, next(keys), *arguments)

    analysis = drawn(codec.analysis_network, example, features)
    analysis |= {"mean": mean, "klt": basis[: codec.latents]}
    analysis["deviation"] = deviation[: codec.latents]
    analysis["log_gain"] = rows(np.log(1 / step) + np.zeros_like(in_steps))
    if codec.hyper:
        latent = jnp.zeros((1, *(chain.COARSE for _ in latent_sizes), codec.latents))
        analysis["hyper"] = drawn(codec.hyper_network, latent, features)
    synthesis = drawn(codec.synthesis_network, shared, own, features)
    kept = deviation if codec.rank < 2 else deviation[: codec.latents]
    synthesis |= {"mean": mean, "klt": basis, "deviation": kept}
    synthesis["log_step"] = rows(np.log(step) + np.zeros_like(in_steps))
    synthesis["amount"] = drawn(codec.amount_network, 1, features)

    prior = {}
    spread = np.concatenate([np.ones((len(in_steps), codec.hyper)), in_steps], -1)  # of all known
    ends = np.cumsum(codec.groups)
    for part in chain.parts(codec):
        own_steps = np.ones((len(in_steps), codec.hyper))
        if not part.is_hyper:
            own_steps = in_steps[:, ends[part.group] - part.channels : ends[part.group]]
        if part.known == 0:
            leaves = drawn(part.network(codec), features)
            thirds = np.array([-0.8, 0.0, 0.8])
            leaves["offsets"] = rows((own_steps[..., None] * thirds).reshape(len(own_steps), -1))
            leaves["log_scales"] = rows(np.log(np.repeat(0.3 * own_steps + 0.05, 3, axis=1)))
        else:
            known = jnp.zeros((1, *latent_sizes, part.known))
            leaves = drawn(part.network(codec), known, features)
            leaves["log_input"] = rows(np.log(spread[:, : part.known] + 0.1))
            leaves["log_spread"] = rows(np.log(own_steps))
            leaves["log_scale"] = rows(np.log(0.3 * own_steps + 0.05))
        prior[part.name] = leaves

    details = {}
    if codec.detail_width:
        statistics = drawn(codec.detail_network, shared, features)
        # Reverse water-filling: the error of a coefficient is the water level where it is coded.
        water = np.minimum(variances[None], step**2 / 12)
        statistics["log_sigma"] = rows(0.5 * np.log(water + 1e-8))
        details["statistics"] = statistics
        if codec.rank == 2:
            details["activity"] = drawn(codec.activity_network, example, jnp.ones((1, 1, 1, 1)))
    started = {"analysis": analysis, "prior": prior, "detail": details, "synthesis": synthesis}
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), started)
