"""The demo's shop: Juniper & Salt, a mail-order larder, and the warehouse that it would have."""
