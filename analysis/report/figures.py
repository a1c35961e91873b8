"""The figures of a rendered page, each as a file of its own for papers and slides."""

import re

_SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)
_NAME = re.compile(r'id="(.+?)-figure_1"')
_VARIABLE = re.compile(r"var\(--\w+, (#\w+)\)")


def standalone_figures(page: str) -> dict[str, str]:
    """The page's figures as SVG documents on white, by name.

    In the page they take fonts and colours from around them; alone they bring their own.
    """
    found = {}
    for drawing in _SVG.findall(page):
        name = _NAME.search(drawing)
        assert name is not None
        text = _VARIABLE.sub(r"\1", drawing).replace("inherit", "sans-serif")
        head, rest = text.split(">", 1)
        paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
        found[name[1]] = f'<?xml version="1.0" encoding="utf-8"?>\n{head}>{paper}{rest}\n'
    return found
