"""W₁ by a critic that was not there in training: what the literature's tables report.

A critic that a codec was trained against knows what that codec has learned to hide. This one is of
another architecture, starts from nothing on one part of the test examples, is chosen by a second
part and reports what it sees on a third, so that overfitting lowers the value instead of raising
it. By Kantorovich and Rubinstein that is a lower bound of W₁, as good as the critic is.

Distances are root mean squares, ‖x − x′‖ / √n for examples of n elements, as in
`perception.adversarial`: the units are those of x. The Euclidean W₁ is the value times √n.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from synjax.evaluation import deviates

FEWEST = 64  # examples: eight in the smallest part
TILE = 32  # side of what is cut from photographs
DIGIT = (28, 28, 1)  # vectors of 784 components are taken for these

_BATCH = 64
_RATE = 2e-3  # of Adam, falling to zero along a half cosine
_OPTIMIZER = optax.scale_by_adam(0.5, 0.9)
_WEIGHT = 10.0  # of the gradient penalty
_CHECKS = 12  # looks at the second part
_PATIENCE = 4  # of them without a better critic end the training
_MOST_CHECKED = 512
_STREAM = 16


class Critic(nn.Module):
    """A scalar per example: [N, n] or [N, H, W, C] → [N].

    Vectors go through three hidden layers of 128 smooth units. Pictures, sides multiples of 4, are
    cut into blocks of 4 x 4, which pass a 3x3 convolution of 32 channels; a dense layer then sees
    the whole picture, which training's critic never does. (A second convolution saw no more of
    digits in equal time: it costs four times as much.)
    """

    @nn.compact
    def __call__(self, x):
        """x: standardised."""
        if x.ndim == 4:
            count, height, width, channels = x.shape
            x = x.reshape(count, height // 4, 4, width // 4, 4, channels)
            x = jnp.moveaxis(x, 3, 2).reshape(count, height // 4, width // 4, 16 * channels)
            x = nn.silu(nn.Conv(32, (3, 3), name="blocks")(x))
            x = nn.silu(nn.Dense(64, name="whole")(x.reshape(count, -1)))
        else:
            for layer in range(3):
                x = nn.silu(nn.Dense(128, name=f"hidden_{layer}")(x))
        return nn.Dense(1, kernel_init=nn.initializers.zeros, name="score")(x)[:, 0]


def wasserstein1(
    x: np.ndarray, members: np.ndarray, *, steps: int, seed: int = 0
) -> tuple[float, float, float]:
    """W₁ between examples and their reconstructions as a fresh critic sees it.

    Even examples are half A, odd ones half B; the critic tells x in A from the members in B, so
    that no pair shares a source, and for the floor x in A from x in B. Of each half, half trains
    the critic, a quarter chooses among its states, by the training's loss, and a quarter is
    reported: the difference of the critic's means, divided by its mean slope between the two where
    that is above 1. The penalty is one-sided (Petzka et al. 2018, arXiv:1709.08894): a critic of
    two equal distributions need not have a slope.

    Args:
      x: sources [N, n] or [N, H, W, C].
      members: reconstructed synsets [N, M, n] or [N, M, H, W, C].
      steps: of training, at most.
      seed: of the critic and its batches.

    Returns:
      (value, floor, standard error of the value over the examples of the third part), in units of
      x; the standard error does not count that another critic might see more. NaN where the
      members are not finite.

    Raises:
      ValueError: if the shapes do not fit, there are fewer than 64 examples, or sides of pictures
        are not multiples of 4.

    Gulrajani et al., "Improved training of Wasserstein GANs", NIPS 2017.
    """
    x, members = np.asarray(x, np.float32), np.asarray(members, np.float32)
    if x.ndim not in (2, 4) or members.shape[:1] + members.shape[2:] != x.shape:
        raise ValueError(
            "a fresh critic needs x [N, n] or [N, H, W, C] and members [N, M, …], "
            f"got {x.shape} and {members.shape}"
        )
    if len(x) < FEWEST or not members.shape[1] or steps < 1:
        raise ValueError(
            f"a fresh critic needs at least {FEWEST} examples, one member and one step, "
            f"got {len(x)}, {members.shape[1]} and {steps}"
        )
    if x.ndim == 4 and any(side % 4 for side in x.shape[1:3]):
        raise ValueError(
            f"a fresh critic needs pictures with sides that are multiples of 4, got {x.shape[1:3]}"
        )
    if x.shape[1:] == (int(np.prod(DIGIT)),):
        x, members = x.reshape(-1, *DIGIT), members.reshape(*members.shape[:2], *DIGIT)
    mean, scale = x.mean(0), float(x.std(0).mean()) or 1.0
    rows = len(x) - len(x) % 8
    a, b = ((x[half:rows:2] - mean) / scale for half in (0, 1))
    fake = (members[1:rows:2] - mean[None]) / scale
    if not np.isfinite(fake).all():
        return (float("nan"),) * 3
    value, error = _trained(a, fake, steps, seed)
    floor, _ = _trained(a, b[:, None], steps, seed)
    return scale * value, scale * floor, scale * error


def of_photographs(photographs, *, steps, seed=0):
    """`wasserstein1` of the tiles of photographs, all pooled.

    Tiles of 32 x 32 pixels (smaller where a photograph is) do not overlap, so that no part of the
    test has seen another's pixels.

    Args:
      photographs: list of (x [H, W, C], members [M, H, W, C]).
      steps, seed: as for `wasserstein1`.

    Returns:
      (value, floor, standard error); NaN where there are fewer than 64 tiles.
    """
    side = min(TILE, *(length // 4 * 4 for x, _ in photographs for length in x.shape[:2]))
    tiles = [(_tiles(x[None], side), _tiles(members, side)) for x, members in photographs]
    x = np.concatenate([of_x[:, 0] for of_x, _ in tiles]) if side else np.zeros((0,))
    if len(x) < FEWEST:
        return (float("nan"),) * 3
    # Shuffled, or neighbours in one photograph would always be in different halves.
    order = np.argsort(deviates.words(seed, _STREAM, len(x)), kind="stable")
    members = np.concatenate([of_members for _, of_members in tiles])
    return wasserstein1(x[order], members[order], steps=steps, seed=seed)


def _tiles(pictures, side):
    """[M, H, W, C] → [tiles, M, side, side, C]."""
    count, height, width, channels = pictures.shape
    rows, columns = height // side, width // side
    cut = pictures[:, : rows * side, : columns * side]
    cut = cut.reshape(count, rows, side, columns, side, channels)
    return np.moveaxis(cut, (1, 3), (0, 1)).reshape(-1, count, side, side, channels)


def _parts(sample):
    """Training, choosing and reporting: a half and two quarters."""
    training = np.concatenate([sample[0::4], sample[1::4]])
    return training, sample[2::4], sample[3::4]


def _pooled(fake):
    return jnp.asarray(fake.reshape(-1, *fake.shape[2:]))


def _trained(real, fake, steps, seed):
    """(value, standard error) of real [N, …] against fake [N, M, …], standardised."""
    of_real, of_fake = _parts(real), _parts(fake)
    train_real, train_fake = jnp.asarray(of_real[0]), _pooled(of_fake[0])
    checked = jnp.asarray(of_real[1][:_MOST_CHECKED]), jnp.asarray(of_fake[1][:_MOST_CHECKED, 0])
    params = Critic().init(jax.random.key(seed), train_real[:1])["params"]
    state = _OPTIMIZER.init(params)
    words = deviates.words(seed, _STREAM + 1, 3 * steps * _BATCH).reshape(steps, 3, _BATCH)
    best, best_loss, waited = params, np.inf, 0
    every = max(steps // _CHECKS, 1)
    for step in range(steps):
        at = jnp.asarray(words[step, 0] % len(train_real), jnp.int32)
        other = jnp.asarray(words[step, 1] % len(train_fake), jnp.int32)
        place = (words[step, 2] >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        rate = np.float32(_RATE * (1 + np.cos(np.pi * step / steps)) / 2)
        params, state = _step(params, state, train_real, train_fake, at, other, place, rate)
        if (step + 1) % every == 0:
            loss = float(_loss(params, *checked, _places(len(checked[0]))))
            if loss < best_loss:
                best, best_loss, waited = params, loss, 0
            else:
                waited += 1
            if waited == _PATIENCE:
                break
    scores = np.asarray(_scores(best, jnp.asarray(of_real[2])), np.float64)
    of_members = np.asarray(_scores(best, _pooled(of_fake[2])), np.float64)
    of_members = of_members.reshape(len(of_fake[2]), -1).mean(1)
    slope = _slopes(best, of_real[2][:_MOST_CHECKED], of_fake[2][:_MOST_CHECKED, 0])
    slope = max(1.0, float(slope))
    error = np.hypot(*(s.std(ddof=1) / np.sqrt(len(s)) for s in (scores, of_members)))
    return float(scores.mean() - of_members.mean()) / slope, float(error) / slope


def _places(count):
    """Evenly spread places between pairs."""
    return ((np.arange(count) + 0.5) / count).astype(np.float32)


@jax.jit
def _scores(params, x):
    return Critic().apply({"params": params}, x)


def _norms(params, real, fake, place):
    """Slopes of the critic, dual to ‖·‖ / √n, at `place` [N] of the way from fake to real."""
    place = place.reshape(-1, *[1] * (real.ndim - 1))
    between = real * place + fake * (1 - place)
    gradient = jax.grad(lambda x: _scores(params, x).sum())(between).reshape(len(real), -1)
    # The square root has no finite slope at 0.
    return jnp.sqrt(gradient.shape[1] * jnp.square(gradient).sum(1) + 1e-12)


@jax.jit
def _slopes(params, real, fake):
    return _norms(params, real, fake, _places(len(real))).mean()


@jax.jit
def _loss(params, real, fake, place):
    distance = _scores(params, real).mean() - _scores(params, fake).mean()
    excess = jax.nn.relu(_norms(params, real, fake, place) - 1)
    return _WEIGHT * jnp.square(excess).mean() - distance


@jax.jit
def _step(params, state, real, fake, at, other, place, rate):
    """One update on a batch: the rows `at` of real and `other` of fake."""
    real, fake = real[at], fake[other]
    gradient = jax.grad(_loss)(params, real, fake, place)
    updates, state = _OPTIMIZER.update(gradient, state, params)
    return jax.tree.map(lambda p, u: p - rate * u, params, updates), state
