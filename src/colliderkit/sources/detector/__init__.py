"""Fast detector simulation in the manner of Delphes, and pileup."""
