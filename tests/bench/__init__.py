"""How fast: `make bench`. Prints ratios measured in one run; asserts no time."""
