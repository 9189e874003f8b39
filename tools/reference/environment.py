"""docs/reference/environment.md: environment variables, limits, kernel features, the runtime directory."""

import importlib
import re

from drvs.base import features, limits, paths

from markdown import table, whole_page

VARIABLES = [
    ["`DRVS_RUNTIME_DIR`", "the node's runtime directory, for `drvs`, programs and noded; wins over `DRVS_NODE`"],
    ["`DRVS_NODE`", "a node id from 0 to 4095: one of several nodes of a user on one machine (default 0)"],
    ["`DRVS_LAB`", "the lab that `drvs lab` means (default `lab`)"],
    ["`DRVS_LAB_DIR`", "the directory of all labs (default: beside the runtime directory)"],
    ["`DRVS_LAB_NODE`", "set in programs of a lab's node: the node's directory, by which they are found and ended"],
    ["`DRVS_LIMITS`", "`name=number,…`: other values for the limits below"],
    ["`DRVS_DISABLE`", "`feature,…`: do without kernel features (see below), for tests and trouble"],
    ["`DRVS_TRACEBACK`", "when set, `drvs` shows where an error came from"],
    ["`DRVS_STORE`", "`systemd` in the unit: the descriptors are kept by systemd's store instead of the keeper"],
    ["`DRVS_IMAGE_READY`", "when set, `image.ready()` waits until an image of the program has been made"],
]

BUILD = [
    ["`DRVS_BUILD_WERROR=1`", "a compiler warning is an error"],
    ["`DRVS_BUILD_SANITIZE=address,undefined`", "the sanitizers named"],
    ["`DRVS_BUILD_COVERAGE=1`", "gcov counters"],
    ["`DRVS_BUILD_FAULTS=1`", "fault points, for tests"],
    ["`DRVS_GUEST_ROOT`", "where a kernel package was unpacked for tests in a guest (default `/`)"],
    ["`DRVS_CI_QEMU_SECONDS`", "seconds that `.ci/run` gives the tests in a guest (default 900)"],
    ["`DRVS_CI_SLOW_SECONDS`", "seconds that `.ci/run` gives the slow tests (default 600)"],
]


def runtime_directory() -> str:
    """The rules, from the docstring of the module that applies them."""
    text = re.sub(
        r"^(    .*(?:\n    .*)*)", r"```\n\1\n```", importlib.import_module(paths.__name__).__doc__ or "", flags=re.M
    )
    return text.replace("\n    ", "\n").replace("```\n    ", "```\n")


def page() -> str:
    """The whole page."""
    bounds = [[f"`{name}`", str(default), meaning] for name, (_, default, meaning) in limits.TABLE.items()]
    kernel = [[f"`{name}`", meaning] for name, meaning in features.FEATURES.items()]
    return whole_page(
        "Environment, limits and kernel features",
        "## Variables",
        table(["variable", "meaning"], VARIABLES),
        "## Runtime directory",
        runtime_directory(),
        "## Limits",
        "Nothing retries, queues or waits without one of these. `drvs status` shows the values in force.",
        table(["name", "default", "bounds"], bounds),
        "## Kernel features",
        "Used where found. Linux 5.10 is enough.",
        table(["name", "since, and what happens without"], kernel),
        "## Switches of the build",
        table(["variable", "meaning"], BUILD),
    )
