"""Training one policy: the task, its rewards, and the methods."""
