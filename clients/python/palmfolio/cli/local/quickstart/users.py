"""Three users ask the same questions, and their policies answer."""

import dataclasses

from palmfolio import types
from palmfolio._async_client import AsyncClient
from palmfolio.report.model import Answer, User
from palmfolio.report.users import typical_users

_PROMPTS = 3


async def ask(
    client: AsyncClient, portfolio: types.Portfolio, prompts: tuple[str | types.Prompt, ...]
) -> tuple[User, ...]:
    """Routes typical users, answers them greedily, and scores the answers.

    Args:
        client: a client of all three services.
        portfolio: a ready portfolio.
        prompts: questions; the first three are asked.
    """
    asked = list(prompts[:_PROMPTS])
    users = typical_users(portfolio.spec.traits)
    routes = [await client.selector.route(portfolio.name, weights) for _, weights in users]
    policies = sorted({route.policy for route in routes})
    sampling = dataclasses.replace(
        portfolio.spec.sampling, samples_per_prompt=1, temperature=0.0, top_p=1.0
    )
    completions = await client.trainer.generate(policies, asked, sampling=sampling)
    samples = [types.Sample(asked[item.prompt_index], item.text) for item in completions]
    scored = await client.scorer.score(samples, traits=portfolio.spec.traits)
    answers: dict[str, list[Answer]] = {policy: [] for policy in policies}
    for item, row in zip(completions, scored.normalised, strict=True):
        # A reward that could not be computed is NaN, and is not shown.
        rewards = {t: reward for t, reward in zip(scored.traits, row, strict=True) if reward >= 0}
        answers[item.policy].append(Answer(str(asked[item.prompt_index]), item.text, rewards))
    return tuple(
        User(label, weights, route.policy, tuple(answers[route.policy]))
        for (label, weights), route in zip(users, routes, strict=True)
    )
