"""What every table of the selector shares: the metadata and the type of a key."""

from sqlalchemy import BigInteger, Integer
from sqlalchemy.orm import DeclarativeBase

# SQLite numbers rows by itself only in a column that is declared as INTEGER; its INTEGER has 64
# bits already.
Key = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Metadata of the selector's tables."""
