"""What every part may import; standard library only."""
