"""Tracks in the TrackML detector by ACTS: Fatras simulates, the combinatorial Kalman filter finds."""
