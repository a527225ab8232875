"""Resource names: strict where this program wrote them, readable errors where a client did."""

import pytest

from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.names import POLICIES, PROMPT_SETS, TRAITS


def test_a_name_and_its_id() -> None:
    assert PROMPT_SETS.name("a1") == "promptSets/a1"
    assert PROMPT_SETS.id("promptSets/a1") == "a1"
    assert PROMPT_SETS.parse("promptSets/a1", "name") == "a1"
    assert PROMPT_SETS.problem("promptSets/a1") == ""


@pytest.mark.parametrize("name", ["a1", "policies/a1", "promptSets", ""])
def test_a_stored_name_of_another_collection_is_a_fault_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match="promptSets/"):
        PROMPT_SETS.id(name)


@pytest.mark.parametrize("name", ["", "a", "policies/", "policies/A", "policies/a/b", "users/a"])
def test_a_clients_name_is_checked(name: str) -> None:
    with pytest.raises(ServiceError, match=r"spec\.policy: .*policies/ID"):
        POLICIES.parse(name, "spec.policy")


def test_a_trait_may_be_named_with_or_without_its_collection() -> None:
    assert TRAITS.short("traits/brief") == TRAITS.short("brief") == "brief"
