"""Published results, claims and descriptions, and whether records agree with them."""
