"""Submissions: the predictions of the test images in the form that a leaderboard reads."""
