"""Components for image translation that keep the structure of an image."""
