"""What a build does, an action each."""
