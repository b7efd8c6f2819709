from ._changes import Change as Change
from ._changes import Changes as Changes
from ._changes import Checked as Checked
from ._convert import convert as convert
from ._convert import convert_ as convert_
from ._deploy import deploy as deploy
