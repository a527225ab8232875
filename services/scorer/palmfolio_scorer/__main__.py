"""`python -m palmfolio_scorer --config FILE`."""

import argparse
import sys
from functools import partial
from pathlib import Path

from palmfolio_runtime.config import ConfigError, load_config
from palmfolio_runtime.serving.server import run
from palmfolio_runtime.serving.threads import wait_passively
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.service import ScorerService


def main() -> int:
    """Runs the scorer until it is stopped; returns 2 when the configuration is wrong."""
    wait_passively()  # must come before torch is imported
    parser = argparse.ArgumentParser(prog="palmfolio_scorer", description="The palmfolio scorer.")
    parser.add_argument("--config", type=Path, help="a YAML file; see ScorerConfig")
    arguments = parser.parse_args()
    try:
        reread = partial(load_config, ScorerConfig, arguments.config)
        config = reread()
        service = ScorerService(config, reread)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    run(service, config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
