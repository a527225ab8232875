"""From texts to tokens: limits, and control tokens that only templates write."""
