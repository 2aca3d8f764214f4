"""A delivery on its way from its source to the raw tables: polled, archived, judged, loaded, told."""
