from palmfolio._calls.selector import *  # noqa: F403
