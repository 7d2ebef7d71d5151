"""Tracks in the TrackML detector by ACTS: Fatras simulates, the Kalman filter finds them."""
