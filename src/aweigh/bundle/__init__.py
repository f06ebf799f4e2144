"""What a code bundle is, whether the store holds it, and how it gets there."""
