"""Facts from AWS and PostgreSQL, named as they name them: read only, DataFrames, no opinions."""
