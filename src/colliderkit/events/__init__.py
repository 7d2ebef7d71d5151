"""Events: schema of jets, four-vectors, observables, weights and representations of a jet."""
