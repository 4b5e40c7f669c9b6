"""Every perception term, followed by a small generator, lowers the paper's own divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import build

KEY = jax.random.key(0)
START = {"mean": jnp.array([1.0, -0.7]), "log_deviation": jnp.array([-0.6, 0.4])}
CRITIC = {"width": 16, "critic_steps": 1, "learning_rate": 3e-3}
# Its slope has to turn, where the others' only falls, before the generator has gone past.
WASSERSTEIN = {"width": 16, "critic_steps": 3, "learning_rate": 1e-2, "weight": 1.0}
TERMS = {
    "sliced_wasserstein": {"directions": 4},
    "sliced_wasserstein orthogonal": {"directions": 4, "orthogonal": True, "unbiased": True},
    "sliced_wasserstein max": {"directions": 2, "ascent": 2},
    "mmd energy": {},
    "mmd gaussian": {"kernel": "gaussian"},
    "wgan_gp": WASSERSTEIN,
    "gan": CRITIC,
    "variational_kl dv": CRITIC,
    "variational_kl nwj": CRITIC | {"bound": "nwj"},
    "mixture": {
        "terms": {
            "sw": {"name": "sliced_wasserstein", "directions": 2},
            "critic": {"name": "variational_kl"} | CRITIC,
        },
        "weights": {"critic": 0.5},
    },
}


def _divergence(params):
    """D_KL[N(0, I) ‖ N(mean, deviation²)] in nats."""
    mean, log_deviation = params["mean"], params["log_deviation"]
    return (log_deviation + (1 + mean**2) * jnp.exp(-2 * log_deviation) / 2 - 0.5).sum()


def test_no_term_is_left_out():
    of_pictures = {"wasserstein_distortion"}  # which has a test like this one of its own
    assert {term.split()[0] for term in TERMS} == set(build.PERCEPTION) - {"none"} - of_pictures


@pytest.mark.parametrize("term", TERMS)
def test_its_gradient_lowers_the_true_divergence(term):
    module = build.build(term.split()[0], kind="vector", **TERMS[term])

    def step(carry, inputs):
        key, decay = inputs
        params, velocity, state = carry
        real_key, fake_key, penalty_key, critic_key = jax.random.split(key, 4)
        real = jax.random.normal(real_key, (128, 2))
        noise = jax.random.normal(fake_key, (128, 2, 2))

        def generated(params):
            deviation = jnp.exp(params["log_deviation"])[None, None]
            return params["mean"][None, None] + deviation * noise

        def penalty(params):
            return module.penalty(state, real, generated(params), {}, penalty_key)

        # Normalised, as terms have different units: what counts is where the gradient points.
        gradient = jax.grad(penalty)(params)
        norm = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in gradient.values()))
        velocity = 0.95 * velocity + 0.05 * norm**2
        params = jax.tree.map(
            lambda p, g: p - 0.03 * decay * g / jnp.sqrt(velocity), params, gradient
        )
        fake = generated(params)
        if module.learns:
            state, _ = module.update(state, real, fake, {}, critic_key)
        return (params, velocity, state), _divergence(params)

    @jax.jit
    def run(key):
        state = module.init(key, jax.ShapeDtypeStruct((128, 2), jnp.float32))
        if module.learns:  # a critic has seen something before it is followed
            real, noise = jax.random.normal(key, (128, 2)), jax.random.normal(key, (128, 2, 2))
            fake = START["mean"][None, None] + jnp.exp(START["log_deviation"])[None, None] * noise
            for index in range(3):
                state, _ = module.update(state, real, fake, {}, jax.random.fold_in(key, index))
        _, divergences = jax.lax.scan(
            step, (START, 1e-6, state), (jax.random.split(key, 200), jnp.linspace(1.0, 0.0, 200))
        )
        return divergences

    divergences = np.asarray(run(KEY))
    assert np.all(np.isfinite(divergences))
    assert divergences[-50:].mean() < 0.02 * _divergence(START)
