"""Networks that nobody here wrote, by the package that they are from; and some of our own."""

from tests.zoo.networks import images, language, vectors

_LARGE = {"timm", "torchvision"}  # last, as they take longest
NETWORKS = sorted(
    (*vectors.SHELF.networks, *language.SHELF.networks, *images.SHELF.networks),
    key=lambda network: network.package in _LARGE,
)
