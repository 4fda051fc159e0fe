"""What would flatter the figures, looked for after the split and before any model is fitted."""
