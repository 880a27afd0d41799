"""Change the pages that MkDocs renders for `make docs`."""

import re

# Docstrings name other objects as Sphinx does, :func:`~mmseg.apis.evaluate_on`.
_ROLE = re.compile(r":[a-z]+:<code>~?(?:[\w.]+\.)?(\w+)</code>")


def on_page_content(html: str, **_: object) -> str:
    """Show only the name of an object that a docstring refers to."""
    return _ROLE.sub(r"<code>\1</code>", html)
