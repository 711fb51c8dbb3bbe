"""Components for `translate` that keep the structure of an image."""
