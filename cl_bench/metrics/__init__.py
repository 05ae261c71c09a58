"""Metrics as pure functions of arrays: closed forms test them, evaluators call them."""
