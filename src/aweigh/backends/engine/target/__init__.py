"""One Docker Engine, or a swarm of them, as a target of flows."""
