"""What a machine makes of the costly parts: the loss, the training step."""
