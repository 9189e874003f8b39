"""The bytes between nodes: frames, which sessions exchange, and the command records that travel in them."""
