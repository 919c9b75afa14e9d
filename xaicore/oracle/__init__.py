"""Is this number right? Axioms, slow second implementations (twins), and Hypothesis strategies for graphs."""
