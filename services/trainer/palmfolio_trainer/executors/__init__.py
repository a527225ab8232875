"""Where training jobs run: the contract in `executor`, and a folder for each executor."""
