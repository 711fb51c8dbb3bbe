"""Built-in networks that neither generate nor judge images: mapping networks and style encoders."""
