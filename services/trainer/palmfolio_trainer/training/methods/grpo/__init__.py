"""Group relative policy optimisation, through TRL."""
