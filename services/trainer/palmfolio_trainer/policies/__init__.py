"""Policies: the spec that identifies a policy, and the files of its adapter."""
