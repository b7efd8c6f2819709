"""The page: its shell and style, charts and how they are drawn, and how numbers are written."""
