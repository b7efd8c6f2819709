"""Networks that nobody here wrote, by the package that they are from; and some of our own."""

from tests.zoo.networks import images, language, vectors

NETWORKS = [*images.SHELF.networks, *language.SHELF.networks, *vectors.SHELF.networks]
