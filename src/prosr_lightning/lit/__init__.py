"""LightningModules: thin shells whose `training_step` reads as the algorithm."""
