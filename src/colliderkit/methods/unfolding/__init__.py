"""Unfolding: what was there before the detector?"""
