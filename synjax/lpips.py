"""LPIPS, a learned distance between two pictures: a distortion, not a divergence.

It compares a reconstruction with its own source, so that a perfect sample of the source's
distribution does not score zero, and nothing here says how far p_X̂ is from p_X. The weights are the
user's: a file of the SqueezeNet variant, version 0.1.

Recipe (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR
2018, arXiv:1801.03924). The input 2x − 1 is shifted and scaled per channel and goes through the
features of SqueezeNet 1.1 (Iandola et al., arXiv:1602.07360): a convolution of 3 x 3 and stride 2
without padding, then eight fire modules (1 x 1 squeezed, then 1 x 1 and 3 x 3 side by side), with
max-pooling of 3 x 3 and stride 2, the last windows cut short at the edge, before fire modules 3, 6
and 9. After the first convolution and after fire modules 4, 7, 9, 10, 11 and 12 the responses are
taken out, scaled to unit length over channels, and their squared differences weighted by channel,
averaged over positions and summed.
"""

import pathlib
import zipfile
import zlib

import jax
import jax.numpy as jnp
import numpy as np

# Index in the network → channels in, squeezed, out of each of the two convolutions.
# What zipfile and numpy raise for files that are damaged, encrypted or packed in another way.
_UNREADABLE = (ValueError, OSError, EOFError, NotImplementedError, RuntimeError)
_UNREADABLE += (zipfile.BadZipFile, zlib.error)
_FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}
_POOLED_BEFORE = (3, 6, 9)
_TAPS = (0, 4, 7, 9, 10, 11, 12)  # 0 is the first convolution
_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
SMALLEST = 17  # side of a picture for which every pooling has a window


def shapes():
    """{name: shape} of the arrays of a weights file, kernels as [out, in, height, width]."""
    found = {"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)}
    for index, (inside, squeezed, out) in _FIRES.items():
        for part, shape in (
            ("squeeze", (squeezed, inside, 1, 1)),
            ("expand1x1", (out, squeezed, 1, 1)),
            ("expand3x3", (out, squeezed, 3, 3)),
        ):
            found[f"features.{index}.{part}.weight"] = shape
            found[f"features.{index}.{part}.bias"] = shape[:1]
    channels = [64] + [2 * _FIRES[index][2] for index in _TAPS[1:]]
    return found | {f"lin{tap}": (count,) for tap, count in enumerate(channels)}


def load(path) -> dict[str, jax.Array]:
    """Reads a weights file: an .npz of float32 arrays with the names and shapes of `shapes`.

    Raises:
      ValueError: if there is no such file, or it holds anything else.
    """
    path, wanted = pathlib.Path(path), shapes()
    if not path.is_file():
        raise ValueError(
            f"no LPIPS weights at {path}; evaluation.lpips names an .npz file of the squeeze "
            "variant, see synjax/lpips.py"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            for name, shape in wanted.items():
                _check_header(archive, name, shape)
        with np.load(path, allow_pickle=False) as arrays:
            weights = {name: arrays[name] for name in wanted}
    except _UNREADABLE as error:
        raise ValueError(f"{path} is no LPIPS weights file: {error}") from None
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path} is no LPIPS weights file: {name!r} is not finite")
    return weights


def _check_header(archive, name, shape):
    """What an array says of itself, before memory is taken for it."""
    if f"{name}.npy" not in archive.namelist():
        raise ValueError(f"it lacks {name!r}")
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name!r} is in version {version} of the format, not (1, 0)")
        found, _, dtype = np.lib.format.read_array_header_1_0(file)
    if found != shape or dtype != np.dtype("<f4"):
        raise ValueError(f"{name!r} is {dtype} of shape {found}, not float32 of shape {shape}")


@jax.jit
def lpips(weights: dict[str, jax.Array], x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """LPIPS of two batches of pictures [B, H, W, C] in [0, 1], C = 3 or 1: [B], dimensionless.

    Grey is three equal channels.

    Args:
      weights: from `load`.
      x: sources.
      x_hat: reconstructions.

    Raises:
      ValueError: if the shapes differ, are not those of such pictures, or a side is below 17.
    """
    if x.shape != x_hat.shape or x.ndim != 4 or x.shape[-1] not in (1, 3):
        raise ValueError(
            f"lpips compares pictures [B, H, W, 3 or 1], got {x.shape} and {x_hat.shape}"
        )
    if min(x.shape[1:3]) < SMALLEST:
        raise ValueError(
            f"lpips needs pictures of at least {SMALLEST} x {SMALLEST} pixels, "
            f"got {x.shape[1]} x {x.shape[2]}"
        )
    total = jnp.zeros(len(x))
    for tap, responses in enumerate(_responses(weights, jnp.concatenate([x, x_hat]))):
        squares = jnp.sum(jnp.square(responses), axis=-1, keepdims=True)
        length = jnp.sqrt(jnp.maximum(squares, 1e-20))  # at zero a root has no slope to train with
        of_x, of_x_hat = jnp.split(responses / (length + 1e-10), 2)
        difference = jnp.square(of_x - of_x_hat).mean((1, 2))  # [B, channels]
        total += difference @ weights[f"lin{tap}"]
    return total


def _responses(weights, x):
    """Responses [B, h, w, channels] at each of the taps."""
    x = jnp.broadcast_to(x, (*x.shape[:-1], 3))
    bent = ((2 * x - 1) - _SHIFT.reshape(1, 1, 1, 3)) / _SCALE.reshape(1, 1, 1, 3)
    found = {0: _convolved(weights, "features.0", bent, stride=2)}
    last = found[0]
    for index in _FIRES:
        if index in _POOLED_BEFORE:
            last = _pooled(last)
        squeezed = _convolved(weights, f"features.{index}.squeeze", last)
        sides = [
            _convolved(weights, f"features.{index}.expand{size}x{size}", squeezed, pad=size // 2)
            for size in (1, 3)
        ]
        found[index] = last = jnp.concatenate(sides, axis=-1)
    return [found[tap] for tap in _TAPS]


def _convolved(weights, name, x, stride=1, pad=0):
    out = jax.lax.conv_general_dilated(
        x,
        weights[f"{name}.weight"],
        (stride, stride),
        [(pad, pad), (pad, pad)],
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
    )
    return jax.nn.relu(out + weights[f"{name}.bias"].reshape(1, 1, 1, -1))


def _pooled(x):
    """Maxima of 3 x 3, stride 2; what is left of a window at the far edge counts too."""
    edges = [(0, 0)] + [(0, (side - 3) % 2) for side in x.shape[1:3]] + [(0, 0)]
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), edges)
