"""The MSSanté sink: one mail, one recipient; an IHE_XDM archive beside a PDF copy (mssante §1 to §7)."""
