"""Datasets: images and labels, the archives and folders they come from, and their splits."""
