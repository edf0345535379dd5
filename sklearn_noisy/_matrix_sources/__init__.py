"""Where a noise matrix comes from: known, estimated, learned by EM or by gradient."""
