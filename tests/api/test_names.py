"""What `import drvs` offers, and what it costs."""

import ast
import inspect
import subprocess
import sys

import pytest

import drvs


@pytest.mark.parametrize("name", drvs.__all__)
def test_every_public_name_can_be_had_and_is_documented(name):
    value = getattr(drvs, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


def test_the_names_for_type_checkers_are_the_names_at_run_time():
    tree = ast.parse(inspect.getsource(drvs))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert sorted(alias.name for node in block.body for alias in node.names) == sorted(drvs.__all__)


def test_every_exception_is_public():
    from drvs.base import errors

    kinds = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.DrvsError)
    }
    assert kinds <= set(drvs.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = drvs.nonsense


def test_names_show_up_in_dir():
    assert set(drvs.__all__) <= set(dir(drvs))


def test_the_version_is_that_of_the_package():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert drvs.__version__ == project["version"]


def test_importing_drvs_loads_nothing_of_it():
    program = "import sys, drvs; print(*[name for name in sys.modules if name.startswith('drvs.')])"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split() == []
    )


def test_every_public_method_says_what_it_does():
    undocumented = [
        f"{kind.__name__}.{name}"
        for kind in (drvs.Node, drvs.VM, drvs.Endpoint, drvs.Block)
        for name, member in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property))
        and not inspect.getdoc(member)
    ]
    assert undocumented == []
