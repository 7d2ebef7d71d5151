"""What an event is: schema, four-vectors and the representations of a jet."""
