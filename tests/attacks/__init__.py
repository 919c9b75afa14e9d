"""Files that attack the reader: a generator for each, run by runner.py in a process that has little memory and is watched."""
