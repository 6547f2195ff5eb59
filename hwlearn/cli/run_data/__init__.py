"""Commands that hand on the data of stored runs."""
