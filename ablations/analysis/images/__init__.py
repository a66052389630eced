"""What predictions of single test images tell."""
