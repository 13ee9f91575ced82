"""Fakes of providers: each checks what it is asked, and answers as the provider does."""
