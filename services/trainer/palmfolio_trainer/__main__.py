"""Runs the trainer: `python -m palmfolio_trainer --config FILE`."""

import argparse
import sys
from pathlib import Path

from palmfolio_runtime.config import ConfigError, load_config
from palmfolio_runtime.serving.server import run
from palmfolio_runtime.serving.threads import wait_passively
from palmfolio_trainer.config import TrainerConfig
from palmfolio_trainer.service import TrainerService


def main() -> None:
    """Reads the configuration and serves until a signal; exits with 2 on a wrong configuration."""
    wait_passively()
    parser = argparse.ArgumentParser(prog="palmfolio_trainer", description=__doc__)
    parser.add_argument("--config", type=Path, help="the YAML file; see config.py for the keys")
    arguments = parser.parse_args()
    try:
        config = load_config(TrainerConfig, arguments.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    try:
        service = TrainerService(config)
    except (RuntimeError, ValueError, ImportError) as error:
        print(f"the trainer cannot start: {error}", file=sys.stderr)
        sys.exit(1)
    run(service, config)


if __name__ == "__main__":
    main()
