"""The command ``xaicore``: one file for each subcommand; what they share is in shared.py, inputs.py and outputs.py."""
