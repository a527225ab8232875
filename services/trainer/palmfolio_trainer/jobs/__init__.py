"""Jobs: claimed from the database, run by an executor, published."""
