"""Invented deliveries of a county's offices over 36 months, each in the layout of its office.

Nothing here is statistics: the figures are drawn with a fixed seed around a few round public facts (size of the
municipalities, share of foreigners, number of offences). Keys and names of territories are the official ones; one merger
of two municipalities is invented and says so.
"""
