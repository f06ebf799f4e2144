"""The files of a directory: ignore rules, walk, content digests."""
