"""Made monitors of a detector, with faults that are known."""
