"""Speech: spoken digits, or any folder of sounds.

    ./launch.sh sweep --config=configs/speech.py --config.data.path=DIR --workdir=runs/speech

DIR holds recordings.zip of the Free Spoken Digit Dataset; `--config.data.source=folder:PATH` takes
a folder of WAV or FLAC files of one sample rate instead. `configs/speech.py:tiny` is a miniature.
"""

from ml_collections import config_dict

from configs import _targets


def get_config(arg=""):
    """The configuration; `arg` is "" or "tiny".

    Raises:
      ValueError: any other `arg`.
    """
    if arg not in ("", "tiny"):
        raise ValueError(f"configs/speech.py takes tiny after the colon, got {arg!r}")
    config = config_dict.ConfigDict()
    config.name = "speech"
    config.seeds = (0,)
    config.data = {
        "source": "fsdd",  # or folder:PATH, tfds:NAME[:SPLIT]
        "path": config_dict.placeholder(str),
        "test": config_dict.placeholder(str),
        "directory": config_dict.placeholder(str),
        "augment": {},
    }
    config.codec = {
        "groups": (12, 52),  # of the 64 coefficients of a frame of 8 ms
        "analysis_width": 96,
        "synthesis_widths": (128, 0, 0),
        "prior_width": 64,
        "detail_width": 96,
        "stride": 64,
        "context": True,
    }
    config.distortion = "mse"
    config.perception = {
        "name": "sliced_wasserstein",
        "space": "frames",
        "patch": 64,
        "directions": 32,
        "axes_per_step": 64,
        "normalise": True,
        "floor": 0.003,
    }
    shared = {
        "crop": 2048,
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
            "steps": 3000,
            "batch": 24,
            "conditions": 3,
            "level_weights": (0.25, 0.75),
            "members": 0,
            "relaxation": "rate",
            "learning_rate": 1e-3,
            "warmup": 100,
            "decay": 0.99,
            "checkpoint_every": 500,
        },
        "perception": shared
        | _targets.free("distortion", "perception")
        | {
            "lambda_p_warmup": 0,
            "steps": 600,
            "batch": 32,
            "conditions": 2,
            "level_weights": (0.5, 0.5),
            "members": 2,
            "relaxation": "none",
            "learning_rate": 5e-4,
            "warmup": 30,
            "decay": 0.98,
            "checkpoint_every": 200,
        },
    }
    config.sweep = {
        "also": (),
        "lambda_d": (300.0, 1500.0, 7500.0),
        "lambda_p": (0.0, 0.1, 1.0, 10.0),
        "encoders": "conditioned",
        "decoders": "conditioned",
    }
    config.evaluation = {"members": 2, "limit": 100, "fresh_critic_steps": 0, "realism": (1.0,)}
    if arg == "tiny":
        config.name = "speech_tiny"
        config.data = {"source": "chirps", "augment": {}}
        config.sweep.update({"lambda_d": (300.0, 3000.0), "lambda_p": (0.0, 1.0)})
        config.codec.update({"groups": (6, 18), "analysis_width": 16, "prior_width": 16})
        config.codec.update({"synthesis_widths": (16, 0, 0), "detail_width": 16, "stride": 32})
        config.perception.update({"patch": 32, "directions": 8, "axes_per_step": 16})
        for stage, steps in (("fidelity", 40), ("perception", 16)):
            config.stages[stage].update(
                {"steps": steps, "crop": 512, "checkpoint_every": 8, "warmup": 5}
            )
            config.stages[stage].update({"batch": 4, "conditions": 2})
        config.evaluation.limit = 3
    return config
