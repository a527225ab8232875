"""How this process's numeric threads behave beside others."""

import os


def wait_passively() -> None:
    """Lets idle OpenMP threads sleep; to be called before torch is imported.

    Threads that spin for work take the cores from the neighbouring processes, which made a training
    beside others many times slower. `OMP_WAIT_POLICY` in the environment goes before. Processes
    started from this one inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
