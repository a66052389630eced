"""Images on their way into the network."""
