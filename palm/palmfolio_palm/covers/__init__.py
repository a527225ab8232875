"""Small sets of policies that serve every user: the searches behind portfolios."""
