"""Learning from mixed samples: label proportions, no labels (CWoLa), efficiencies, topics."""
