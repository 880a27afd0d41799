import pytest

from mmseg.utils import InputError, built_from_config


def _build(error):
    with built_from_config("model"):
        raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("depth must be 18"), "the config's model cannot be built: depth must be 18"),
        (
            TypeError("missing 1 required argument: 'depth'"),
            "the config's model cannot be built: missing 1 required argument: 'depth'",
        ),
        (
            ModuleNotFoundError("No module named 'wandb'"),
            "the config's model cannot be built without a package that is missing: No module named "
            "'wandb'",
        ),
        (InputError("as it is"), "as it is"),
    ],
)
def test_errors_of_constructors_are_input_errors(error, message):
    with pytest.raises(InputError) as raised:
        _build(error)
    assert str(raised.value) == message


def test_other_errors_are_passed_on():
    with pytest.raises(RuntimeError):
        _build(RuntimeError("a bug"))


def test_errors_of_the_code_keep_their_traceback():
    for error in (TypeError("unsupported operand"), AttributeError("weight"), KeyError("type")):
        with pytest.raises(type(error)):
            _build(error)
