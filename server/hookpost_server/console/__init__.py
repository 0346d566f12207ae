"""The web edge: pages for people, served by aiohttp, written by Jinja, with the same store verbs as the RPCs."""
