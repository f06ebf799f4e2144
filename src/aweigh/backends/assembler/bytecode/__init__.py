"""Bytecode of wheels, compiled once."""
