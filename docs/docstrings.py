"""A step of the documentation's build: an `Example:` in a docstring is shown as the code it is."""

from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Google's style has `Examples:`; under `Example:` prompts would be taken for quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section before it is parsed."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
