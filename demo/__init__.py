"""Invented deliveries for the county of Peine and two neighbours, in the layouts of the offices.

Nothing here is statistics: the figures are drawn with a fixed seed around a few round public facts (size of the
municipalities, share of foreigners, number of offences). Keys and names of territories are the official ones.
"""
