"""Scoring any number of samples over one `ScoreStream`: pipelined, in order, retried.

`window` holds the samples that were read and have no reward yet, `session` decides the next step;
neither of them does any input or output. `threads` and `tasks` do it for the two clients.
"""
