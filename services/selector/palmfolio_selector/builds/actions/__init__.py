"""The actions of a build, by what they do: train, evaluate, explore, select."""
