"""Tables of policies, their responses and the rewards of these.

What is measured is reusable: a response is identified by (policy, sampling, prompt, sample), its
reward by the trait and the trait's version in addition. Rows of different versions never mix,
because the version is part of the key. Duplicates of a key are ignored: the first writer wins.
"""

from sqlalchemy import JSON, Float, ForeignKey, String, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from palmfolio_selector.store.tables.schema import Base, Key


class PolicyRow(Base):
    """A policy as the trainer described it, or as it was imported."""

    __tablename__ = "policies"

    key: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    """`policies/{id}`."""
    base_model: Mapped[str] = mapped_column(String(200), default="")
    is_base_model: Mapped[bool] = mapped_column(default=False)
    weights: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    """The weights it was trained at; None for a base model."""
    adapter: Mapped[str] = mapped_column(Text, default="")
    """URI; empty for a base model."""


class SamplingRow(Base):
    """Settings that responses were sampled with, without the number of samples.

    Of imported evaluations only the source is known, which is stored here instead.
    """

    __tablename__ = "samplings"

    key: Mapped[int] = mapped_column(Key, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    settings: Mapped[dict[str, float | str]] = mapped_column(JSON(none_as_null=True))


class TraitRow(Base):
    """One version of a trait."""

    __tablename__ = "traits"
    __table_args__ = (Unique("name", "version", name="uq_traits_name_version"),)

    key: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    version: Mapped[str] = mapped_column(String(200))


class ResponseRow(Base):
    """One sampled response."""

    __tablename__ = "responses"

    policy: Mapped[int] = mapped_column(Key, ForeignKey("policies.key"), primary_key=True)
    sampling: Mapped[int] = mapped_column(Key, ForeignKey("samplings.key"), primary_key=True)
    prompt: Mapped[int] = mapped_column(Key, ForeignKey("prompts.key"), primary_key=True)
    sample: Mapped[int] = mapped_column(primary_key=True)
    """From 0."""
    text: Mapped[str] = mapped_column(Text)


class EvaluationRow(Base):
    """The reward of one response on one version of a trait."""

    __tablename__ = "evaluations"

    policy: Mapped[int] = mapped_column(Key, ForeignKey("policies.key"), primary_key=True)
    sampling: Mapped[int] = mapped_column(Key, ForeignKey("samplings.key"), primary_key=True)
    prompt: Mapped[int] = mapped_column(Key, ForeignKey("prompts.key"), primary_key=True)
    sample: Mapped[int] = mapped_column(primary_key=True)
    trait: Mapped[int] = mapped_column(Key, ForeignKey("traits.key"), primary_key=True)
    raw: Mapped[float | None] = mapped_column(Float(53))
    """As the trait computed it; None where the trait failed."""
    normalised: Mapped[float | None] = mapped_column(Float(53))
    """In [0, 1]; None where the trait failed."""
    failure: Mapped[str] = mapped_column(Text, default="")
    """Why the trait failed; empty otherwise."""


class MeanRow(Base):
    """The mean normalised reward of a policy on a trait over a prompt set."""

    __tablename__ = "means"

    policy: Mapped[int] = mapped_column(Key, ForeignKey("policies.key"), primary_key=True)
    trait: Mapped[int] = mapped_column(Key, ForeignKey("traits.key"), primary_key=True)
    prompt_set: Mapped[str] = mapped_column(
        ForeignKey("prompt_sets.id", ondelete="CASCADE"), primary_key=True
    )
    sampling: Mapped[int] = mapped_column(Key, ForeignKey("samplings.key"), primary_key=True)
    samples: Mapped[int] = mapped_column(primary_key=True)
    """Samples of each prompt."""
    mean: Mapped[float] = mapped_column(Float(53))
    count: Mapped[int] = mapped_column()
    """Rewards in the mean."""
    failed: Mapped[int] = mapped_column()
    """Responses that the trait could not score."""
