"""The HTTP edge: authenticate, parse, call a service, render. Routes are rows of one table."""
