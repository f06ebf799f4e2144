"""Host systems that aweigh plugs into, one module each."""
