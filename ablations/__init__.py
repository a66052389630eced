"""The experiment around the network: recipes, data, training, records and reports."""
