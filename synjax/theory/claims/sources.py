"""Random sources with synsets, and what makes a statement about them more than trivial."""

from synjax.theory import finite_codec, instances, synonymity

SAMPLES, SYNSETS = 5, 3


def members(drawn):
    """Membership of the drawn source's samples, [N, n, K]; every synset has one in each."""
    return synonymity.membership(drawn["synset"], drawn["synset"].max() + 1)


def source(bits, count, samples=SAMPLES, synsets=SYNSETS):
    """A non-uniform source with non-singleton synsets."""
    return {
        "p_X": instances.distribution(bits, (count, samples)),
        "synset": instances.synsets(bits, count, samples, synsets),
    }


def unequal_members(drawn):
    """Whether two members of a synset differ in probability."""
    return ~finite_codec.same_within_synsets(drawn["p_X"][..., None], members(drawn))


UNEQUAL = ("two members of a synset differ in probability", unequal_members)
