"""Fixtures of the unit tests."""

from pathlib import Path

import pytest

# The private key of this authority was discarded.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmTCCAT+gAwIBAgIUTlL4PYRy0sd37LkVODnIDbNb8pkwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWQXV0aG9yaXR5IG9mIHRoZSB0ZXN0czAgFw0yNjExMjgxNTA0
MjRaGA8yMTI2MTEwNDE1MDQyNFowITEfMB0GA1UEAwwWQXV0aG9yaXR5IG9mIHRo
ZSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEmWAPhqCKMpMJRoo1pt
1aff+R6mOJLnWWAGqu9RKUHEbDZDZVV3HgCUwQg+SjIZrDyGtvoAM3DJ9gNBb7RO
DYujUzBRMB0GA1UdDgQWBBSRT88ehaf0Aa6ib3jAO7nb/M92KzAfBgNVHSMEGDAW
gBSRT88ehaf0Aa6ib3jAO7nb/M92KzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49
BAMCA0gAMEUCIQCoozPp5zUGyZnPXO0e30/pA9WLLaIkR1d13fv1e+Up7QIgZT/x
JPsciPV6dTiFC7afyNgRJq2iuk9DI2nv6OWDSFQ=
-----END CERTIFICATE-----
"""


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Write the certificate of an authority."""
    file = tmp_path / "ca.pem"
    file.write_text(CERTIFICATE)
    return file
