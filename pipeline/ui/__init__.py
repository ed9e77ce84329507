"""What a person sees while a run works, and at its end."""
