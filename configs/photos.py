"""Photographs: scikit-image's own, real bytes, sliced Wasserstein along the codec's axes.

    ./launch.sh sweep --config=configs/photos.py --workdir=runs/photos

trains one λ_d-conditioned encoder and one decoder that is conditioned on (λ_d, λ_p), evaluates the
12 trials at both levels on photographs that were not trained on, and writes the table: about ten
minutes on two cores, under 3 GiB. At λ_p = 0 the upper level is above JPEG in PSNR at equal bytes.
`:tiny` (`--config=configs/photos.py:tiny`) is the same in miniature, on synthetic pictures, for
tests; `:wgan_gp` and the other names of `_stand_ins.py` have something else in place of the sliced
distance (a critic: with an encoder and a decoder for every point); `:tiny,wgan_gp` is both.
"""

from ml_collections import config_dict

from configs import _stand_ins, _targets


def get_config(arg=""):
    """The configuration; `arg` is "", or "tiny" and a name of `_stand_ins`.

    Raises:
      ValueError: any other `arg`.
    """
    tiny, stand_in = _stand_ins.parse("photos", arg, pictures=True)
    config = config_dict.ConfigDict()
    config.name = "photos"
    config.seeds = (0,)
    config.data = {
        "source": "photos",  # or folder:PATH, tfds:NAME[:SPLIT]: docs/data.md
        "test": config_dict.placeholder(str),
        "directory": config_dict.placeholder(str),
        "augment": {"scale_range": (0.5, 1.0), "recolour": 1.0},
    }
    config.codec = {
        "groups": (12, 180),
        "analysis_width": 48,
        "synthesis_widths": (128, 64, 48),
        "prior_width": 96,
        "detail_width": 128,
        "stride": 16,
        "hyper": 0,
        "context": True,
    }
    config.distortion = "mse"
    config.perception = {
        "name": "sliced_wasserstein",
        "space": "patches",
        "patch": 16,
        "directions": 16,
        "axes_per_step": 64,
        "normalise": True,
        "floor": 0.003,
    }
    shared = {
        "crop": 128,
        "real": "paired",
        "clip": 1.0,
        "balance": 0.35,
        "level_lambda_d": (1.0, 1.0),
        "level_lambda_p": (1.0, 1.0),
    }
    config.stages = {
        "fidelity": shared
        | _targets.free("distortion", "rate")
        | {
            "steps": 2400,
            "batch": 3,
            "conditions": 3,
            "level_weights": (0.25, 0.75),
            "members": 0,
            "relaxation": "rate",
            "learning_rate": 8e-4,
            "warmup": 100,
            "decay": 0.99,
            "checkpoint_every": 250,
        },
        "perception": shared
        | _targets.free("distortion", "perception")
        | {
            "lambda_p_warmup": 0,
            "steps": 400,
            "batch": 8,
            "conditions": 2,
            "level_weights": (0.5, 0.5),
            "members": 2,
            "relaxation": "none",
            "learning_rate": 5e-4,
            "warmup": 30,
            "decay": 0.98,
            "checkpoint_every": 100,
        },
    }
    config.sweep = {
        "also": (),
        "lambda_d": (10.0, 45.0, 200.0),
        "lambda_p": (0.0, 0.1, 1.0, 10.0),
        "encoders": "conditioned",
        "decoders": "conditioned",
    }
    config.evaluation = {
        "members": 4,
        "limit": config_dict.placeholder(int),
        "fresh_critic_steps": 0,
        "realism": (1.0,),
        "lpips": config_dict.placeholder(str),
        "levels": (),  # that are measured; none named, all are
        "lambda_p": (),  # likewise
        "classical": (),  # of jpeg, webp, avif, jp2: drawn beside the codec, on the same pictures
    }
    if tiny:
        config.name = "photos_tiny"
        config.data.source = "leaves"
        config.data.size = 176
        config.data.count = 12
        config.sweep.update({"lambda_d": (25.0, 200.0), "lambda_p": (0.0, 1.0)})
        config.data.augment = {"scale_range": (0.5, 1.0), "recolour": 0.0}
        config.codec = {
            "groups": (6, 26),
            "analysis_width": 8,
            "synthesis_widths": (16, 8, 8),
            "prior_width": 16,
            "detail_width": 32,
            "stride": 8,
            "hyper": 0,
            "context": False,  # half of the networks, and two thirds of the time to compile them
        }
        config.perception.patch = 8
        config.perception.stride = 4
        config.perception.axes_per_step = 16
        for stage, steps in (("fidelity", 40), ("perception", 16)):
            config.stages[stage].update(
                {"steps": steps, "crop": 64, "checkpoint_every": 8, "warmup": 5}
            )
            config.stages[stage].update({"batch": 4, "conditions": 2})
        config.evaluation.limit = 1
    if stand_in:
        _stand_ins.apply(config, stand_in)
    return config
