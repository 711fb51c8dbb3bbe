"""Methods: their networks, the equations of their tensors, and the order of updates."""
