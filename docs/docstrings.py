"""A step of the documentation's build: docstrings are plain text first, and Markdown here."""

from typing import Any

import griffe


class PlainDocstrings(griffe.Extension):
    """`Example:` is shown as code, and the star of a shape such as `(*, features)` as a star.

    Google's style has `Examples:`; under `Example:` prompts would be taken for quotations.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text before it is parsed."""
        if obj.docstring:
            text = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
            obj.docstring.value = text.replace("(*, ", "(\\*, ")
