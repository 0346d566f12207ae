"""Random secrets that can be told by their look; `sitecustomize` makes those of the tests' server processes so too."""
