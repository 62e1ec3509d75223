"""Pure functions from logits and targets to a sum and its weight. They know no model and no loop."""
