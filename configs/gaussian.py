"""Independent Gaussian components: the source whose limits are known.

    ./launch.sh sweep --config=configs/gaussian.py --workdir=runs/gaussian

trains one encoder per λ_d and one decoder per (λ_d, λ_p): 464 s for four λ_d and two λ_p on two
busy cores.
`:tiny` is the same in miniature, for tests; `:mmd` and the other names of `_stand_ins.py` have
something else in place of the sliced distance.
"""

from ml_collections import config_dict

from configs import _stand_ins, _targets


def get_config(arg=""):
    """The configuration; `arg` is "", or "tiny" and a name of `_stand_ins.STAND_INS`.

    Raises:
      ValueError: any other `arg`.
    """
    tiny, stand_in = _stand_ins.parse("gaussian", arg)
    config = config_dict.ConfigDict()
    config.name = "gaussian"
    config.seeds = (0,)
    config.data = {
        "source": "gaussian",
        "variances": tuple(0.6**i for i in range(8)),
        "augment": {},
    }
    config.codec = {
        "groups": config_dict.placeholder(tuple),  # None: all components in one
        "analysis_width": 32,
        "synthesis_widths": (64, 64, 64),
    }
    config.distortion = "mse"
    config.perception = {
        "name": "sliced_wasserstein",
        "space": "vector",
        "directions": 24,
        "axes_per_step": 32,
        "unbiased": True,
    }
    shared = {
        "crop": None,
        "conditions": 1,
        "level_weights": (1.0,),
        "level_lambda_d": (1.0,),
        "level_lambda_p": (1.0,),
        "clip": 1.0,
        "balance": 0.0,
        "warmup": 50,
    }
    config.stages = {
        "fidelity": shared
        | _targets.free("distortion", "rate")
        | {
            "steps": 1200,
            "batch": 1024,
            "members": 0,
            "relaxation": "all",
            "real": "paired",
            "learning_rate": 3e-3,
            "decay": 0.99,
            "checkpoint_every": 600,
        },
        "perception": shared
        | _targets.free("distortion", "perception")
        | {
            "lambda_p_warmup": 0,
            "steps": 600,
            "batch": 2048,
            "members": 2,
            "relaxation": "none",
            "real": "paired",
            "learning_rate": 2e-3,
            "decay": 0.99,
            "checkpoint_every": 300,
        },
    }
    config.sweep = {
        "also": (),
        "lambda_d": (2.4, 7.2, 24.0, 72.0),
        "lambda_p": (0.0, 7200.0),
        "encoders": "separate",
        "decoders": "separate",
    }
    config.evaluation = {
        "members": 4,
        "limit": 65536,
        "fresh_critic_steps": 0,
        "realism": (1.0,),
    }
    if tiny:
        config.name = "gaussian_tiny"
        config.sweep.lambda_d = (2.4, 24.0)
        for stage in ("fidelity", "perception"):
            config.stages[stage].update(
                {"steps": 30, "batch": 128, "checkpoint_every": 10, "warmup": 5}
            )
        config.evaluation.limit = 1024
    if stand_in:
        _stand_ins.apply(config, stand_in)
    return config
