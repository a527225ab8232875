"""Alembic's entry point; `Database.migrate` runs it."""

from palmfolio_runtime.database import migrations
from palmfolio_runtime.operations import Base as OperationsBase
from palmfolio_selector.store.tables import Base

migrations.run([Base.metadata, OperationsBase.metadata])
