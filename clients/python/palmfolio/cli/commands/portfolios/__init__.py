"""Commands about portfolios."""
