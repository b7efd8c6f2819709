"""What convolutions may be kept as; without torch, as `selfnorm solve` reads options without it."""

from typing import Literal

Convolutions = Literal["matrices", "operators"]
