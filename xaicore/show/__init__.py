"""Results for the eye: signed heat maps and contact sheets, tables, one self-contained page. Nothing in here computes an attribution."""
