"""What finitely many prompts leave open about a gap (docs/algorithms.md, section 6)."""
