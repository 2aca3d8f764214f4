"""Columns of texts as Arrow holds them: coded, looked at byte by byte, made one step ahead of who reads them."""
