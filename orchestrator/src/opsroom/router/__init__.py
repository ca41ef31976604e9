"""The router: stages from cheap and certain to slow and capable; the first that is certain decides."""
