"""Files as they come: bytes, texts, workbooks, containers, and what is hostile in them."""
