"""Image mathematics: arrays in, arrays out; `io` alone knows files."""
