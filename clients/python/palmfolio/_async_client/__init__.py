from palmfolio._async_client.selector import *  # noqa: F403
