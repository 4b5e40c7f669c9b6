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
LEARNED = ("wgan_gp", "gan", "variational_kl")


def apply(config, name):
    """Puts a stand-in of `STAND_INS` in place of a config's own.

    A critic has one adversary: with it there is an encoder and a decoder for every point.
    """
    config.name += f"_{name}"
    config.perception = {"name": name} | STAND_INS[name]
    if name in LEARNED:
        config.sweep.update({"encoders": "separate", "decoders": "separate"})
        for stage in config.stages:
            config.stages[stage].conditions = 1


def parse(file, arg):
    """Whether `arg`, names with commas between them, asks for the miniature, and which stand-in.

    Raises:
      ValueError: another name, or two stand-ins.
    """
    wanted = set(filter(None, arg.split(",")))
    chosen = sorted(wanted & set(STAND_INS))
    if not wanted <= {"tiny", *STAND_INS} or len(chosen) > 1:
        raise ValueError(
            f"configs/{file}.py takes tiny and one of {', '.join(STAND_INS)} after the colon, "
            f"got {arg!r}"
        )
    return "tiny" in wanted, chosen[0] if chosen else None
