"""`python -m tests.security`: the table of the adversarial cases. Arguments go to pytest: `-v` names the tests,
`--collect-only` runs nothing, a path chooses files.
"""

from __future__ import annotations

import sys

import pytest

from .table import Table

sys.exit(pytest.main(["-q", "--no-header", *sys.argv[1:]], plugins=[Table()]))
