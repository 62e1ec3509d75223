"""Networks by name. They return logits and know neither data nor loss."""
