"""The one optimiser loop, its batches and checkpoints."""
