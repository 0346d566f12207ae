"""All SQL. One public method is one verb is one transaction; constants stand above the method that runs them."""
