"""Many runs by one command: the jobs of a multirun, resuming, one device for each, the paper from nothing."""
