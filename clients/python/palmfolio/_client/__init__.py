from palmfolio._client.selector import *  # noqa: F403
