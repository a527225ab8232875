"""What a policy is: its spec, its settings, its stored adapter."""
