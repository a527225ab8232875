"""Runs the migrations on the connection that the service opened."""

from palmfolio_runtime import operations
from palmfolio_runtime.database import migrations
from palmfolio_trainer.store.tables import Base

migrations.run([Base.metadata, operations.Base.metadata])
