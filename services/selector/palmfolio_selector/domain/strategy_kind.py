"""The kind of a spec's strategy."""

from typing import Literal, TypeAlias

from palmfolio.v1 import portfolios_pb2

StrategyKind: TypeAlias = Literal["grid", "uniform", "adaptive", "explicit"]
"""The fields of the oneof `Strategy.kind`.

Every function that treats kinds differently ends in `assert_never`: a kind that is added here
fails the type check wherever it is not treated yet.
"""


def strategy_kind(spec: portfolios_pb2.PortfolioSpec) -> StrategyKind:
    """The kind of a spec's strategy.

    Raises:
        ValueError: the spec has no strategy; a canonical spec has one.
    """
    kind = spec.strategy.WhichOneof("kind")
    if kind is None:
        raise ValueError("the spec is not canonical: it has no strategy")
    return kind
