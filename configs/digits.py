"""MNIST's digits as vectors of 784: the literature's test bed of rate, distortion and perception.

    ./launch.sh sweep --config=configs/digits.py --config.data.path=DIR --workdir=runs/digits

DIR holds the four original files. One encoder per λ_d and one decoder per (λ_d, λ_p). `:tiny` is
the same in miniature, for tests; `:wgan_gp` and the other names of `_stand_ins.py` have something
else in place of the sliced distance.
"""

from ml_collections import config_dict

from configs import _stand_ins, _targets


def get_config(arg=""):
    """The configuration; `arg` is "", or "tiny" and a name of `_stand_ins.STAND_INS`.

    Raises:
      ValueError: any other `arg`.
    """
    tiny, stand_in = _stand_ins.parse("digits", arg)
    config = config_dict.ConfigDict()
    config.name = "digits"
    config.seeds = (0,)
    config.data = {
        "source": "mnist",
        "path": config_dict.placeholder(str),
        "size": config_dict.placeholder(int),
        "augment": {},
    }
    config.codec = {
        "groups": (24,),
        "analysis_width": 256,
        "synthesis_widths": (256, 0, 0),
        "detail_width": 128,
        "clipped": True,
    }
    config.distortion = "mse"
    config.perception = {"name": "sliced_wasserstein", "space": "vector", "directions": 128}
    shared = {
        "crop": None,
        "conditions": 1,
        "level_weights": (1.0,),
        "level_lambda_d": (1.0,),
        "level_lambda_p": (1.0,),
        "clip": 1.0,
        "balance": 0.0,
        "warmup": 30,
        "batch": 64,
    }
    config.stages = {
        "fidelity": shared
        | _targets.free("distortion", "rate")
        | {
            "steps": 1200,
            "members": 0,
            "relaxation": "all",
            "real": "paired",
            "learning_rate": 1e-3,
            "decay": 0.99,
            "checkpoint_every": 400,
        },
        "perception": shared
        | _targets.free("distortion", "perception")
        | {
            "lambda_p_warmup": 0,
            "steps": 350,
            "members": 1,
            "relaxation": "none",
            "real": "paired",
            "learning_rate": 4e-4,
            "decay": 0.99,
            "checkpoint_every": 175,
        },
    }
    config.sweep = {
        "also": (),
        "lambda_d": (0.7, 1.0, 1.5),
        "lambda_p": (0.0, 3.0, 20.0),
        "encoders": "separate",
        "decoders": "separate",
    }
    config.evaluation = {
        "members": 2,
        "limit": 4000,
        "fresh_critic_steps": 200,
        "realism": (1.0,),
    }
    if tiny:
        config.name = "digits_tiny"
        config.codec = config.codec.to_dict() | {
            "groups": (8,),
            "analysis_width": 16,
            "synthesis_widths": (16, 0, 0),
            "detail_width": 8,
        }
        config.perception.directions = 16
        config.sweep.update({"lambda_d": (1.5,), "lambda_p": (0.0, 20.0)})
        for stage in config.stages:
            config.stages[stage].update(
                {"steps": 20, "batch": 16, "checkpoint_every": 10, "warmup": 5}
            )
        config.evaluation.update({"limit": 256, "fresh_critic_steps": 4})
    if stand_in:
        _stand_ins.apply(config, stand_in)
    if stand_in == "wgan_gp":
        config.perception.update({"width": 16 if tiny else 256, "learning_rate": 1e-3})
        config.sweep.lambda_p = (0.0, 1.0) if tiny else (0.0, 0.5, 2.0)
    return config
