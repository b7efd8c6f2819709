"""Make a model self-normalizing.

The package is the function, too: `selfnorm.convert(model)`.
"""

from selfnorm._callable import make_callable
from selfnorm.convert._changes import Change as Change
from selfnorm.convert._changes import Changes as Changes
from selfnorm.convert._convert import convert as convert
from selfnorm.convert._convert import convert_ as convert_

__all__ = ["Change", "Changes", "convert", "convert_"]

make_callable(__name__, convert)
