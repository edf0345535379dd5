"""Values as data in a file: a checksummed safetensors file, and no pickle."""
