"""For tests of projects and of adapters: contract suites, real local servers, invented messages.

What needs a test tool (aiosmtpd and trustme, botocore) is in a module of its own: `connect.testing.smtp`, `.ses`.
"""

from connect.testing.clock import FakeClock, FastClock
from connect.testing.messages import an_email, an_sms, outgoing, unusual_emails
from connect.testing.providers import Arrived, ProviderContract, ProviderRig, Situation

__all__ = [
    "Arrived",
    "FakeClock",
    "FastClock",
    "ProviderContract",
    "ProviderRig",
    "Situation",
    "an_email",
    "an_sms",
    "outgoing",
    "unusual_emails",
]
