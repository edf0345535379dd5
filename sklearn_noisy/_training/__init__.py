"""Training of networks: the trainer, the skorch net, checkpoints, callbacks."""
