"""The controlled case says when it isn't as expected, and ends with exit 1."""

import sys
from typing import Any

import pytest
from tests.benchmarks.scripts import loaded

script = loaded("controlled_curriculum.py")


def _found(first: float = 1.0, chosen: float = 1.0, learnability: float = -0.3) -> dict[str, Any]:
    """Two seeds, in the second of which shares are as given, and so is the curriculum's gain."""
    losses = [
        {"arm": arm, "seed": seed, "value": 2.0 + shift + (0.01 if arm == "random" else 0.0) * seed}
        for arm, shift in (
            ("random", 0.0),
            ("learnability", learnability),
            ("learnability-reshuffled", -0.5),
        )
        for seed in (0, 1)
    ]
    return {script.FIRST_HALF: [1.0, first], script.CHOSEN: [1.0, chosen], "losses": losses}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (_found(first=0.9499), "clean in the first half by learnability: 95.0%, expected 95%"),
        (_found(chosen=0.6), "clean among RHO-LOSS's choices after warm-up: 60.0%, expected"),
        (_found(learnability=0.0), "learnability against random: .*, expected an interval below"),
        (_found(learnability=0.3), "learnability against random: .*, expected an interval below"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_what_is_not_as_expected_is_told_with_exit_1(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], message: str, arguments: list[str]
) -> None:
    monkeypatch.setattr(script, "run", lambda *_: found)
    monkeypatch.setattr(sys, "argv", ["controlled_curriculum.py", *arguments])
    with pytest.raises(SystemExit, match=f"not as expected: {message}"):
        script.main()


@pytest.mark.parametrize("found", [_found(), _found(first=0.95, chosen=0.95)])
def test_what_is_as_expected_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: dict[str, Any]
) -> None:
    monkeypatch.setattr(script, "run", lambda *_: found)
    monkeypatch.setattr(sys, "argv", ["controlled_curriculum.py"])
    script.main()
    assert "| learnability | random | -0.3" in capsys.readouterr().out
