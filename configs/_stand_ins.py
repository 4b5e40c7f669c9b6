"""What may stand for the divergence, with options to start from: an argument of every config."""

STAND_INS = {
    "wgan_gp": {"width": 32, "critic_steps": 3},
    "gan": {"width": 32, "critic_steps": 1},
    "variational_kl": {"width": 32, "critic_steps": 3},
    "mmd": {"kernel": "energy", "samples": 512},
    "mixture": {
        "terms": {"near": {"name": "sliced_wasserstein"}, "far": {"name": "mmd"}},
        "weights": {"near": 1.0, "far": 1.0},
    },
}
# These take pictures alone.
OF_PICTURES = {"wasserstein_distortion": {"window": 16}}
LEARNED = ("wgan_gp", "gan", "variational_kl")


def apply(config, name):
    """Puts a stand-in in place of a config's own.

    A critic has one adversary: with it there is an encoder and a decoder for every point.
    """
    config.name += f"_{name}"
    config.perception = {"name": name} | (STAND_INS | OF_PICTURES)[name]
    if name in LEARNED:
        config.sweep.update({"encoders": "separate", "decoders": "separate"})
        for stage in config.stages:
            config.stages[stage].conditions = 1


def parse(file, arg, pictures=False):
    """Whether `arg`, names with commas between them, asks for the miniature, and which stand-in.

    Args:
      file: name of the configuration's, without its suffix.
      arg: what stands after the colon.
      pictures: whether the configuration is of pictures.

    Raises:
      ValueError: another name, or two stand-ins.
    """
    known = STAND_INS | (OF_PICTURES if pictures else {})
    wanted = set(filter(None, arg.split(",")))
    chosen = sorted(wanted & set(known))
    if not wanted <= {"tiny", *known} or len(chosen) > 1:
        raise ValueError(
            f"configs/{file}.py takes tiny and one of {', '.join(known)} after the colon, "
            f"got {arg!r}"
        )
    return "tiny" in wanted, chosen[0] if chosen else None
