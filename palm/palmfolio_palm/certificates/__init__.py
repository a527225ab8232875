"""How far a portfolio can be from the best, for every user: certificates and bounds."""
