"""Certificates for tests of TLS."""

import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority made on the fly; writes PEM files into a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self._key, days=30, extensions=[x509.BasicConstraints(ca=True, path_length=None)])
        self.file = self._write("pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str = "leaf",
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        units: tuple[str, ...] = (),
        days: int = 10,
        file: str = "",
    ) -> tuple[Path, Path]:
        """Certificate and key, in files of that name; `units` are its OUs, `days` below 0 make it expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        others = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        signed = self._sign(name, key, units=units, days=days, extensions=[x509.SubjectAlternativeName(others)])
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = file or name
        (self._folder / f"{file}.key").touch(mode=0o600)
        return self._write("crt", signed.public_bytes(serialization.Encoding.PEM), file), self._write("key", pem, file)

    def revoke(self, *certificates: Path) -> bytes:
        """A revocation list as PEM."""
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject).last_update(now)
        for file in certificates:
            number = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.next_update(now + datetime.timedelta(days=1)).sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def _sign(self, name, key, *, units=(), days, extensions):
        now = datetime.datetime.now(datetime.UTC)
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        attributes += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        authority = [x509.NameAttribute(NameOID.COMMON_NAME, self._name)]
        builder = x509.CertificateBuilder(
            x509.Name(authority), x509.Name(attributes), key.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(now - datetime.timedelta(days=20)).not_valid_after(now + datetime.timedelta(days=days))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, suffix, data, file=""):
        path = self._folder / f"{file or self._name}.{suffix}"
        path.write_bytes(data)
        return path
