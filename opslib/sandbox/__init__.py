"""A local AWS, a real PostgreSQL and a planted incident, on a laptop with neither AWS nor Docker."""
