"""What is in the images, and what is not."""

import json

import pytest

from tests.support.docker.engine import run
from tests.support.docker.stack import SERVICES, Stack

MEGABYTE = 10**6


def inside(stack: Stack, service: str, *command: str) -> str:
    """What a command prints in a service's image."""
    entry, *arguments = command
    image = stack.image(service)
    return run(["docker", "run", "--rm", "--entrypoint", entry, image, *arguments]).strip()


def installed(stack: Stack, service: str) -> set[str]:
    """The distributions that a service's Python sees."""
    code = "import importlib.metadata as m; print(*{d.name.lower() for d in m.distributions()})"
    return set(inside(stack, service, "python3", "-c", code).split())


def test_the_selector_has_no_torch_and_is_small(built: Stack) -> None:
    assert "torch" not in installed(built, "selector")
    (image,) = json.loads(run(["docker", "inspect", built.image("selector")], log=False))
    assert image["Size"] < 400 * MEGABYTE


def test_torch_is_one_layer_of_two_images(built: Stack) -> None:
    layers = {}
    for service in ("scorer", "trainer"):
        (image,) = json.loads(run(["docker", "inspect", built.image(service)], log=False))
        layers[service] = set(image["RootFS"]["Layers"])
        assert "torch" in installed(built, service)
    history = run(
        ["docker", "history", "--human=false", "--format={{.Size}}", built.image("scorer")]
    )
    # The base, the user, and torch; what follows differs.
    assert len(layers["scorer"] & layers["trainer"]) == 3
    assert max(int(size) for size in history.split()) > 500 * MEGABYTE


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_left_to_build_or_install_with(built: Stack, service: str) -> None:
    names = installed(built, service)
    assert {"palmfolio", "grpcio", "pydantic"} <= names
    assert "pip" not in names
    tools = inside(built, service, "sh", "-c", "command -v gcc cc c++ make pip; true")
    assert tools == ""


@pytest.mark.parametrize("service", SERVICES)
def test_services_run_as_a_user_that_owns_nothing_but_its_state(built: Stack, service: str) -> None:
    assert inside(built, service, "id", "-u") == "10001"
    writable = "for d in /opt /etc/palmfolio / /state; do test -w $d && echo $d; done; true"
    assert inside(built, service, "sh", "-c", writable) == "/state"


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_configuration_is_a_readable_error(built: Stack, service: str) -> None:
    command = ["docker", "run", "--rm", f"--env=PALMFOLIO_{service.upper()}__LIMITS__MAX_TRAITS=x"]
    with pytest.raises(AssertionError) as caught:
        run([*command, built.image(service)])
    assert "code 2" in str(caught.value) and "limits.max_traits" in str(caught.value)
    assert "Traceback" not in str(caught.value)
