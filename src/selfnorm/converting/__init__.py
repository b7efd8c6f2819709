"""Make a model self-normalizing: `selfnorm.convert`, and what it changed. And back: `deploy`."""

from selfnorm.converting._changes import Change as Change
from selfnorm.converting._changes import Changes as Changes
from selfnorm.converting._changes import Checked as Checked
from selfnorm.converting._convert import convert as convert
from selfnorm.converting._convert import convert_ as convert_
from selfnorm.converting._deploy import deploy as deploy

__all__ = ["Change", "Changes", "Checked", "convert", "convert_", "deploy"]
