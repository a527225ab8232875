"""How the numeric threads of this process share the cores with other processes."""

import os


def wait_passively() -> None:
    """Makes idle OpenMP threads sleep. Call it before torch is imported.

    By default idle threads spin while they wait for work, and take the cores from other processes:
    a training next to a scorer became many times slower. `OMP_WAIT_POLICY` in the environment takes
    precedence. Processes that this one starts inherit the setting.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
