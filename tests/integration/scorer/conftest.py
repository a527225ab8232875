"""One scorer for all tests that do not change it."""

from collections.abc import Iterator

import pytest

from tests.support.services.scorer_process import TRAITS, ScorerProcess, running_scorer


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer with the quickstart's traits."""
    with running_scorer(
        tmp_path_factory.mktemp("scorer"), traits_file=str(TRAITS), limits={"max_samples": 64}
    ) as running:
        yield running
