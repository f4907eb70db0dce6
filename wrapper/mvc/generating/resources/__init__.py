"""Names and fields for the generators `model` and `scaffold`."""
