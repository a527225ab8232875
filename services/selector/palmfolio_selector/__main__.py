"""`python -m palmfolio_selector --config FILE`."""

import argparse
import os
import sys
from pathlib import Path

from palmfolio_runtime.config import ConfigError, load_config

# Matrices of a selection are small: further threads for their products wait more than they work.
# These variables are read when numpy is loaded.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> int:
    """Runs the selector until a signal stops it; returns 2 when the configuration is wrong."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    from palmfolio_runtime.serving.server import run
    from palmfolio_selector.config import SelectorConfig
    from palmfolio_selector.service import SelectorService

    parser = argparse.ArgumentParser(prog="palmfolio_selector", description="The selector.")
    parser.add_argument("--config", type=Path, help="a YAML file; see SelectorConfig")
    arguments = parser.parse_args()
    try:
        config = load_config(SelectorConfig, arguments.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    run(SelectorService(config), config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
