import gc

import pytest

from curricle.recipes.sources.docstrings import docstrings_of

CODE = '''"""About the module."""
import os

class Outer:
    """An outer class.

    Text:
        Indented more.
    """

    def method(self):
        """A method."""
        def hidden():
            """Nobody can call this."""

    class Inner:
        async def wait(self):
            \'\'\'Waits.\'\'\'

if os.name == "nt":
    def system():
        """On one system."""
else:
    def system():
        """On another one."""

try:
    import fast
except ImportError:
    pass
else:
    with fast:
        def bare(): pass
'''


def test_docstrings_of_everything_one_can_call_by_name() -> None:
    found = {one.qualified_name: one.text for one in docstrings_of(CODE)}
    assert found == {
        "<module>": "About the module.",
        "Outer": "An outer class.\n\nText:\n    Indented more.",
        "Outer.method": "A method.",
        "Outer.Inner.wait": "Waits.",
        "system": "On one system.",
        "system#2": "On another one.",
    }
    assert [one.name for one in docstrings_of(CODE)][-2:] == ["system", "system"]


def test_short_docstrings_can_be_left_out() -> None:
    long = "word " * 60
    code = f'def f():\n    """Short."""\n\ndef g():\n    """{long}"""\n'
    assert [one.name for one in docstrings_of(code, 200)] == ["g"]
    assert docstrings_of('def f():\n    """Short."""\n', 200) == []


def test_odd_code_is_an_error_of_the_parser_and_warns_nobody() -> None:
    with pytest.raises(SyntaxError):
        docstrings_of("def f(:")
    with pytest.raises((SyntaxError, ValueError)):
        docstrings_of("x = 1\0")
    assert gc.isenabled()
    docstrings_of('x = "\\d"')
