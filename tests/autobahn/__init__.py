"""The Autobahn|Testsuite against our client and our server: ``nox -s autobahn``."""
