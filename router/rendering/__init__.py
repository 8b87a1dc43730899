"""A document made readable: a page of HTML, a PDF."""
