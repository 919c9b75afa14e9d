"""What an explanation costs: operations, bytes and seconds by the size of the model and of the input. docs/cost.md is made here."""
