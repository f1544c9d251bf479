"""Coderbyte invites out, results back: one invite per application, stage visit and assessment, never a second."""
