"""The computation of a certificate, in words."""


def described(method: str | None, corners: int, confirmed: bool) -> str:
    """How the gaps were computed, and whether a second way confirmed them.

    Args:
        method: `corners`, `lp` or `whole`; None where an earlier version stored the certificate.
        corners: the number of corner weights.
        confirmed: whether a second way proved that no gap is larger.
    """
    ways = {
        "lp": "by linear programs",
        "whole": "not at all: every Pareto-optimal policy is a member",
    }
    way = ways.get(method or "", f"at {corners} corner weights")
    # A certificate that an earlier version stored has neither a method nor a confirmation.
    if method is None:
        return way
    second = "confirmed" if confirmed else "not confirmed in time"
    return f"{way}; {second} by mixtures of the members"
