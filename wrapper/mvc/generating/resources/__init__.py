"""What the generators `model` and `scaffold` make of a name and fields."""
