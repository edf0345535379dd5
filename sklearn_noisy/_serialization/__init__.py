"""Storage of values in a safetensors file with a checksum, without pickle."""
