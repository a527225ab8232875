"""The selector: builds, certifies and selects portfolios of policies."""
