"""Make a model self-normalizing: `selfnorm.convert`, and what it changed."""

from selfnorm.converting._changes import Change as Change
from selfnorm.converting._changes import Changes as Changes
from selfnorm.converting._convert import convert as convert
from selfnorm.converting._convert import convert_ as convert_

__all__ = ["Change", "Changes", "convert", "convert_"]
