"""Logto's own test cases, told to Hookpost: README.md lists each case with its test, or says why it has none."""
