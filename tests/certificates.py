"""Certificates for the nodes of a cluster of Ray, signed by an authority of the tests."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


def tls_variables(folder: Path, addresses: Sequence[str], *, intermediate: bool = False) -> dict[str, str]:
    """Write a certificate for some addresses; return the variables with which Ray uses it.

    Args:
        folder: Folder of the files.
        addresses: IP addresses of the nodes.
        intermediate: Whether the authority's own certificate is signed by another one, which is not there.
    """
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, now = _name("authority"), datetime.datetime.now(datetime.UTC)
    ours = x509.BasicConstraints(ca=True, path_length=0)
    nodes = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(each)) for each in addresses])
    files = {"RAY_TLS_CA_CERT": "ca.crt", "RAY_TLS_SERVER_CERT": "node.crt", "RAY_TLS_SERVER_KEY": "node.key"}
    root = ec.generate_private_key(ec.SECP256R1()) if intermediate else authority
    above = _name("root") if intermediate else issuer
    for file, subject, public, extension, signer, by in (
        ("ca.crt", issuer, authority.public_key(), ours, root, above),
        ("node.crt", _name("node"), key.public_key(), nodes, authority, issuer),
    ):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY)
        signed = builder.add_extension(extension, critical=True).sign(signer, hashes.SHA256())
        (folder / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "node.key").write_bytes(text)
    return {"RAY_USE_TLS": "1", **{name: str(folder / file) for name, file in files.items()}}


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
