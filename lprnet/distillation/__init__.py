"""What training and compression share to teach a network: losses, augmentation, rendered plates."""
