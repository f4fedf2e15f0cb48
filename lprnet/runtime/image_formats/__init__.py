"""What an image file says of itself, read before anything is decoded: a module a format."""
