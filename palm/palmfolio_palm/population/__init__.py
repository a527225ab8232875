"""Portfolios for a given population of users instead of for every conceivable user."""
