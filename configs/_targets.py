"""What a stage can be held to (Eq. 61), free unless a flag or an experiment sets it."""

from ml_collections import config_dict


def free(*terms):
    """Settings of a stage, with a placeholder for each term of `objective.TERMS` it can hold."""
    return {
        "targets": {term: config_dict.placeholder(float) for term in terms},
        "dual_rate": 0.01,
    }
