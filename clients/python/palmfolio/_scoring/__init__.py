"""Scoring any number of samples over one `ScoreStream`: pipelined, in order, retried.

`window` holds what is between the caller's samples and their rewards, `session` decides what to do
next; both are plain data and no more. `threads` and `tasks` carry it out for the two clients.
"""
