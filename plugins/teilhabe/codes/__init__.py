"""Codes and words of the field, the same for all rooms: territories, periods, groups, holidays, the catalogue, German."""
